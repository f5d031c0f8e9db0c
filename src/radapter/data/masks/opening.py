"""Opening a set of masked pictures from its source."""

import torch

from radapter.data.masks.kinds import mask_source
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.showing import showing
from radapter.data.pictures.corruptions import corrupted_pictures, greyed
from radapter.data.source import DEFAULT, Reading, Spec
from radapter.data.splits import in_part, refuse_unreadable
from radapter.errors import DataError


def open_masks(
    spec: Spec,
    *,
    name: str | None = None,
    reading: Reading = DEFAULT,
) -> PairedMaskDataset:
    """Opens a set of masked pictures; they are decoded later, one at a time.

    Args:
        spec: a mapping as in run.yaml, or one of the kinds in `radapter.data.masks.kinds`. Environment variables and
            `~` in paths are expanded.
        name: what tables call the set; None takes the source's.
        reading: limits of images, whether the hub may be asked, and who is told while contents are hashed.

    Raises:
        ConfigError: a key or value of `spec` is unknown, missing or out of range.
        DataError: the data are missing, empty or too corrupt, or images and masks do not pair.
    """
    source = mask_source(spec)
    dataset = source.read(reading)
    dataset.name = dataset.name if name is None else name
    keys = dataset.hashed(reading.progress)
    refuse_unreadable(
        dataset.pictures, torch.arange(len(dataset)), keys, name=dataset.name, max_bad=reading.max_bad
    )
    if source.part is not None:
        chosen = in_part(keys, *source.part, split_seed=source.split_seed)
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(dataset)} in '{dataset.name}' none is left after part."
            )
        dataset = dataset.subset(chosen)
    if source.only is not None or source.without is not None:
        chosen = showing(dataset, only=source.only, without=source.without or ())
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(dataset)} in '{dataset.name}' none is left after only "
                "and without."
            )
        dataset = dataset.subset(chosen)
    if source.grayscale:
        dataset = dataset.with_pictures(greyed(dataset.pictures))
    if source.corrupt is not None:
        rows = torch.arange(len(dataset))
        dataset = dataset.with_pictures(
            corrupted_pictures(dataset.pictures, rows, dataset.keys, **source.corrupt)
        )
    return dataset
