"""Opens a set of masked images from its source."""

from collections.abc import Sequence

import torch
from torch import Tensor

from radapter.data.images.corruptions import corrupted_images, greyed
from radapter.data.masks.kinds import mask_source
from radapter.data.masks.label_maps import IGNORE
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.source import DEFAULT, Reading, Spec
from radapter.data.splits import in_part, refuse_unreadable
from radapter.errors import ConfigError, DataError, ImageError, did_you_mean
from radapter.zeroshot import name_key


def open_masks(spec: Spec, *, name: str | None = None, reading: Reading = DEFAULT) -> PairedMaskDataset:
    """Opens a set of masked images; they are decoded later, one at a time.

    Args:
        spec: A mapping as in run.yaml, or a source; environment variables and `~` in its paths are expanded.
        name: The set's name in tables; None takes that of the source.
        reading: Limits of images and the progress of hashing.

    Raises:
        ConfigError: A key or value of `spec` is unknown, missing or out of range.
        DataError: The data are missing, empty or too corrupt, or images and masks do not pair.
    """
    source = mask_source(spec)
    dataset = source.read(reading)
    dataset.name = dataset.name if name is None else name
    keys = dataset.hashed(reading.progress)
    refuse_unreadable(dataset.images, dataset.rows, keys, name=dataset.name, max_bad=reading.max_bad)
    if source.part is not None:
        dataset = _kept(dataset, in_part(keys, *source.part, split_seed=source.split_seed), "part")
    if source.only is not None or source.without is not None:
        dataset = _kept(dataset, _showing(dataset, source.only, source.without or ()), "only and without")
    if source.grayscale:
        dataset = dataset.with_images(greyed(dataset.images))
    if source.corrupt is not None:
        images = corrupted_images(dataset.images, dataset.rows, dataset.keys, **source.corrupt)
        dataset = dataset.with_images(images)
    return dataset


def _kept(dataset: PairedMaskDataset, chosen: Tensor, option: str) -> PairedMaskDataset:
    if not chosen.any():
        raise DataError(
            f"data set must hold an image. Of the {len(dataset)} in '{dataset.name}' none is left after {option}."
        )
    return dataset.subset(chosen)


def _showing(dataset: PairedMaskDataset, only: Sequence[str] | None, without: Sequence[str]) -> Tensor:
    """Which images show a class of `only` and no other, and none of `without`, (N,), bool; decodes all masks.

    An image that cannot be decoded is kept, so that loaders count it as bad.
    """
    names = dataset.classnames
    for name in (*(only or ()), *without):
        if name_key(name) not in map(name_key, names):
            raise ConfigError(
                f"only and without must hold classes of '{dataset.name}'. Got {name!r}.{did_you_mean(name, names)}"
            )
    kept = set(map(name_key, names if only is None else only)) - set(map(name_key, without))
    allowed = {index for index, name in enumerate(names) if name_key(name) in kept}
    chosen = torch.zeros(len(dataset), dtype=torch.bool)
    for index in range(len(dataset)):
        try:
            shown = set(dataset[index].labels.flatten().tolist()) - {IGNORE}
        except ImageError:
            chosen[index] = True
        else:
            chosen[index] = shown <= allowed and (only is None or bool(shown))
    return chosen
