"""Regions of images whose pixels have classes: one a class and image, certain, with the classes as nouns."""

from collections.abc import Iterator
from dataclasses import replace

from radapter.data import IGNORE, PairedMaskDataset
from radapter.data.shards import Sample, Shards
from radapter.errors import DataError
from radapter.segmentation.mining.writing import RegionFolder, Shown, region_sample, write_regions
from radapter.segmentation.pixels import label_regions

MIN_AREA = 0.001
"""Share of the image that a region must have: below are a few pixels of an outline."""


def cut_masks(
    dataset: PairedMaskDataset,
    folder: RegionFolder,
    *,
    min_area: float = MIN_AREA,
) -> Shards:
    """Writes the true regions of masked images, one a class and image; the classes are the nouns.

    Args:
        dataset: Pictures with a class for every pixel.
        folder: Where and how.
        min_area: Smaller regions are left out, share of the image.

    Raises:
        DataError: No region is large enough (the folder is removed then), or too many images are unreadable.
        RunError: The folder holds something else.
    """

    def of_image(index: int) -> Iterator[Sample]:
        image, labels, _ = dataset[index]
        masks, classes = label_regions(labels, ignored=(IGNORE,))
        large = [row for row, mask in enumerate(masks) if mask.float().mean() >= min_area]
        for number, row in enumerate(large):
            noun_id = int(classes[row])
            shown = Shown(dataset.classnames[noun_id], noun_id)
            yield region_sample(dataset, index, number, image, masks[row], shown)

    return write_regions(
        dataset,
        of_image,
        dataset.classnames,
        replace(folder, about={**folder.about, "min_area": min_area}),
        nothing=lambda: DataError(
            f"masks must hold a region of at least {min_area:.2%} of the image. Those of '{dataset.name}' hold "
            "none. Lower --min-area."
        ),
    )
