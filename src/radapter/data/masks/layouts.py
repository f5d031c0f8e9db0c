"""The layouts of public segmentation sets: name -> where the files lie and what their values mean.

A new one is a row of LAYOUTS. docs/data.md draws the folders of each.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radapter.data.masks.class_lists import (
    ADE20K_150,
    CAMVID_11,
    CITYSCAPES_19,
    CITYSCAPES_IDS,
    CITYSCAPES_VOID,
    COCO_STUFF_171,
    COCO_STUFF_VALUES,
    CONTEXT_59,
    VOC_20,
)
from radapter.data.masks.folders import FolderLayout, read_folders
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.errors import ConfigError, did_you_mean

_TRAIN_VAL = {"train": "train", "val": "val"}
_TRAINING = {"train": "training", "val": "validation"}
_OVSEG = {"val": "val"}  # its converter makes the validation set alone

LAYOUTS: dict[str, FolderLayout] = {
    "ade20k-150": FolderLayout(
        150,
        "images/{split}",
        ("annotations/{split}",),
        _TRAINING,
        names=ADE20K_150,
        reduce_zero_label=True,
    ),
    # As MaskFormer's prepare_ade20k_full_sem_seg.py writes it: 16-bit TIFF, 847 classes from 0 on.
    "ade20k-847": FolderLayout(
        847,
        "images_detectron2/{split}",
        ("annotations_detectron2/{split}",),
        _TRAINING,
        ignore=(65535,),
    ),
    # As mmsegmentation's converter writes it: 0 is everything else.
    "pascal-context-59": FolderLayout(
        59,
        "JPEGImages",
        ("SegmentationClassContext",),
        _TRAIN_VAL,
        ids="ImageSets/SegmentationContext/{split}.txt",
        names=CONTEXT_59,
        reduce_zero_label=True,
    ),
    # As OVSeg's prepare_pascal_context.py writes it: numbered by the lines of 59_labels.txt.
    "pascal-context-59-ovseg": FolderLayout(
        59,
        "JPEGImages",
        ("annotations_detectron2/pc59_{split}",),
        _OVSEG,
        lead="mask",
        names_file="59_labels.txt",
    ),
    "pascal-context-459": FolderLayout(
        459,
        "JPEGImages",
        ("annotations_detectron2/pc459_{split}",),
        _OVSEG,
        lead="mask",
        names_file="labels.txt",
        ignore=(65535,),
    ),
    "voc-20": FolderLayout(
        20,
        "JPEGImages",
        ("SegmentationClass",),
        _TRAIN_VAL,
        ids="ImageSets/Segmentation/{split}.txt",
        names=VOC_20,
        reduce_zero_label=True,
    ),
    "cityscapes": FolderLayout(
        19,
        "leftImg8bit/{split}",
        ("gtFine/{split}",),
        _TRAIN_VAL,
        image_ending="_leftImg8bit",
        mask_ending="_gtFine_labelIds",
        names=CITYSCAPES_19,
        ignore=CITYSCAPES_VOID,
        values=CITYSCAPES_IDS,
    ),
    "coco-stuff-171": FolderLayout(
        171,
        "images/{split}",
        ("annotations/{split}", "stuffthingmaps_trainval2017/{split}", "stuffthingmaps/{split}"),
        {"train": "train2017", "val": "val2017"},
        names=COCO_STUFF_171,
        values=COCO_STUFF_VALUES,
    ),
    "camvid": FolderLayout(
        11,
        "{split}",
        ("{split}annot",),
        {"train": "train", "val": "val", "test": "test"},
        names=CAMVID_11,
        ignore=(11,),
    ),
}

OPTIONS = ("split", "classes")
"""What every layout takes beside its path."""


def read_layout(
    name: str, path: Path, options: Mapping[str, Any], *, max_pixels: int = MAX_PIXELS
) -> PairedMaskDataset:
    """Reads one split of a data set of a known layout.

    Args:
        name: a key of LAYOUTS.
        path: its folder.
        options: among OPTIONS; as for `read_folders`.
        max_pixels: larger images and masks are refused from their header.

    Raises:
        ConfigError: the layout is unknown, does not take an option, or lacks one.
        DataError: what `read_folders` raises.
    """
    layout = layout_of(name)
    for key in options:
        if key not in OPTIONS:
            raise ConfigError(
                f"layout '{name}' takes the options {', '.join(OPTIONS)}. Got {key!r}. Leave it out."
            )
    return read_folders(layout, path, **options, max_pixels=max_pixels)


def layout_of(name: str) -> FolderLayout:
    """The layout of that name; ConfigError proposes the nearest."""
    if name not in LAYOUTS:
        raise ConfigError(
            f"layout must be one of {', '.join(LAYOUTS)}. Got {name!r}.{did_you_mean(name, LAYOUTS)}"
        )
    return LAYOUTS[name]
