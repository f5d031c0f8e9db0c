"""Regions of images whose pixels have classes: one a class and image, certain, with the classes as nouns."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radapter.data import IGNORE, MAX_BAD, PairedMaskDataset
from radapter.data.shards import Sample, Shards
from radapter.data.splits import Progress
from radapter.errors import DataError
from radapter.segmentation.mining.writing import SHARD_SIZE, region_sample, write_regions
from radapter.segmentation.oracle import label_regions

MIN_AREA = 0.001
"""Share of the image that a region must have: below are a few pixels of an outline."""


def cut_masks(
    dataset: PairedMaskDataset,
    folder: Path,
    *,
    min_area: float = MIN_AREA,
    about: Mapping[str, Any],
    shard_size: int = SHARD_SIZE,
    max_bad: float = MAX_BAD,
    progress: Progress | None = None,
) -> Shards:
    """Writes the true regions of masked images, one a class and image; the classes are the nouns.

    Args:
        dataset: pictures with a class for every pixel.
        folder: new, or one that the same call began.
        min_area: smaller regions are left out, share of the image.
        about: what else decides the regions, as JSON.
        shard_size: bytes after which a shard ends.
        max_bad: fraction of the images that may be unreadable; they are reported and left out.
        progress: told (images done, all).

    Raises:
        DataError: no region is large enough (the folder is as new then), or too many images are unreadable.
        RunError: the folder holds something else.
    """

    def of_image(index: int) -> Iterator[Sample]:
        image, labels, _ = dataset[index]
        masks, classes = label_regions(labels, ignored=(IGNORE,))
        large = [row for row, mask in enumerate(masks) if mask.float().mean() >= min_area]
        for number, row in enumerate(large):
            noun_id = int(classes[row])
            yield region_sample(
                dataset, index, number, image, masks[row], noun=dataset.classnames[noun_id], noun_id=noun_id
            )

    return write_regions(
        dataset,
        of_image,
        dataset.classnames,
        folder,
        nothing=lambda: DataError(
            f"masks must hold a region of at least {min_area:.2%} of the image. Those of '{dataset.name}' hold "
            "none. Lower --min-area."
        ),
        about={**about, "min_area": min_area},
        shard_size=shard_size,
        max_bad=max_bad,
        progress=progress,
    )
