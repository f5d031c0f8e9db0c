"""Which pictures of a masked set show which classes: for test sets of classes that training left out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from radapter.data.masks.paired import IGNORE, PairedMaskDataset
from radapter.errors import ConfigError, ImageError, did_you_mean
from radapter.zeroshot import name_key


def showing(
    dataset: PairedMaskDataset, *, only: Sequence[str] | None = None, without: Sequence[str] = ()
) -> Tensor:
    """Which pictures show a class of `only` and no other, and none of `without`; all masks are decoded.

    Args:
        dataset: nothing of it is changed.
        only: class names; None takes all.
        without: class names.

    Returns:
        (N,), bool; true for a picture that cannot be decoded, which whoever reads it counts as bad.

    Raises:
        ConfigError: a name is no class of the set.
    """
    names = dataset.classnames
    shown_alone = None if only is None else set(map(name_key, only))
    left_out = set(map(name_key, without))
    keys = list(map(name_key, names))
    for name in (*(only or ()), *without):
        if name_key(name) not in keys:
            raise ConfigError(
                f"only and without must hold classes of '{dataset.name}'. Got {name!r}.{did_you_mean(name, names)}"
            )
    allowed = {
        index
        for index, key in enumerate(keys)
        if (shown_alone is None or key in shown_alone) and key not in left_out
    }
    chosen = torch.zeros(len(dataset), dtype=torch.bool)
    for index in range(len(dataset)):
        try:
            shown = set(dataset[index].labels.flatten().tolist()) - {IGNORE}
        except ImageError:
            chosen[index] = True
            continue
        chosen[index] = shown <= allowed and (only is None or bool(shown))
    return chosen
