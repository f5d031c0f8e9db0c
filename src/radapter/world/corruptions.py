"""Six ways in which a camera fails, one of them drawn for each picture.

Source of the kinds: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations", ICLR 2019; here at one strength range and at the world's size.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.hashing import uniform


def corrupted(images: Tensor, seed: int, index: Tensor) -> Tensor:
    """Corrupts pictures (N, 3, H, W), uint8, each by one kind.

    Args:
        images: The pictures.
        seed: The scenes' seed.
        index: (N,), the scenes' indices; they choose kind and strength.
    """
    unit = uniform(seed, index, "corruption", 4)
    kind = (unit[:, 0] * len(_KINDS)).long()
    result = torch.empty_like(images)
    for number, corrupt in enumerate(_KINDS):
        chosen = torch.nonzero(kind == number)[:, 0]
        for rows in torch.split(chosen, 128) if len(chosen) else ():
            strength = unit[rows, 1:, None, None, None]
            changed = corrupt(images[rows] / 255, strength, seed, index[rows])
            result[rows] = (changed.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return result


def _grain(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    pixels = images[0].numel()
    noise = uniform(seed, index, "grain", pixels) + uniform(seed, index, "grain 2", pixels) - 1
    return images + (0.4 + 0.4 * unit[:, 0]) * noise.view(images.shape)


def _blur(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    for _ in range(2):
        images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softer = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return images + unit[:, 0] * (softer - images)


def _low_contrast(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    mean = images.flatten(1).double().mean(1).float()[:, None, None, None]
    return mean + (0.15 + 0.25 * unit[:, 0]) * (images - mean)


def _fog(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    knots = uniform(seed, index, "fog", 16).view(-1, 1, 4, 4)
    veil = F.interpolate(knots, size=images.shape[-2:], mode="bilinear", align_corners=True)
    thickness = (0.35 + 0.25 * unit[:, 0]) + 0.5 * (veil - 0.5)
    return images + thickness.clamp(0, 1) * (0.85 - images)


def _blocks(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    return F.avg_pool2d(images, 3).repeat_interleave(3, 2).repeat_interleave(3, 3)


def _occlusion(images: Tensor, unit: Tensor, seed: int, index: Tensor) -> Tensor:
    size = images.shape[-1]
    axis = torch.arange(size)
    width = 0.3 * size
    left, top = unit[:, 0] * (size - width), unit[:, 1] * (size - width)
    across = (axis >= left) & (axis < left + width)
    down = (axis[:, None] >= top) & (axis[:, None] < top + width)
    return torch.where(across & down, 0.2 + 0.6 * unit[:, 2], images)


_KINDS: tuple[Callable[[Tensor, Tensor, int, Tensor], Tensor], ...] = (
    _grain, _blur, _low_contrast, _fog, _blocks, _occlusion,
)  # fmt: skip
