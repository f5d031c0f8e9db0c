"""Which texts are right answers to which images, where more than an image's own captions are."""

import torch
from torch import Tensor


def positive_pairs(image_targets: Tensor, text_targets: Tensor) -> Tensor:
    """Every image with every text of the same target.

    Args:
        image_targets: (N,), int.
        text_targets: (M,), int.

    Returns:
        (P, 2), int64: image, text; sorted. P is the sum over images of their texts, which for a few large classes
        is no longer small.
    """
    by_target = text_targets.argsort(stable=True)
    ordered = text_targets[by_target].contiguous()
    first = torch.searchsorted(ordered, image_targets.contiguous())
    sizes = torch.searchsorted(ordered, image_targets.contiguous(), right=True) - first
    images = torch.arange(len(image_targets), device=sizes.device).repeat_interleave(sizes)
    place = torch.arange(len(images), device=sizes.device) - (sizes.cumsum(0) - sizes)[images]
    return torch.stack((images, by_target[first[images] + place]), 1)


def checked_positives(positives: Tensor, images: int, texts: int) -> Tensor:
    """Pairs without repetitions, sorted.

    Args:
        positives: (P, 2), int: image, text.
        images: N.
        texts: M.

    Raises:
        ValueError: the shape or dtype, a pair names what does not exist, or an image or a text has no positive.
    """
    if positives.ndim != 2 or positives.shape[1] != 2 or positives.is_floating_point():
        raise ValueError(
            f"positives must be int, (P, 2), image and text. Got {positives.dtype}, {tuple(positives.shape)}."
        )
    pairs: Tensor = torch.unique(positives.long(), dim=0)
    for column, (name, size) in enumerate((("image", images), ("text", texts))):
        found = pairs[:, column]
        if ((found < 0) | (found >= size)).any():
            raise ValueError(
                f"positives must name {name}s in [0, {size}). Got {found.min()} to {found.max()}."
            )
        bare = (torch.bincount(found, minlength=size) == 0).nonzero()[:, 0]
        if len(bare):
            raise ValueError(
                f"every {name} must have a positive. {len(bare)} of {size} have none, the first is {name} "
                f"{int(bare[0])}. Leave them out."
            )
    return pairs
