"""The layouts of public segmentation sets: name -> where the files are and what their values mean.

A new one is a row of LAYOUTS. docs/data.md draws the folders of each.
"""

from typing import Annotated

from pydantic import Field

from radapter.data.masks import class_lists
from radapter.data.masks.folders import FolderLayout, read_folders
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.source import MaskSource
from radapter.data.paths import PATH, PATH_OR_NAME, place
from radapter.data.source import Reading, among

_TRAIN_VAL = {"train": "train", "val": "val"}
_TRAINING = {"train": "training", "val": "validation"}
_OVSEG = {"val": "val"}  # its converter makes the validation set alone

LAYOUTS: dict[str, FolderLayout] = {
    "ade20k-150": FolderLayout(
        150,
        "images/{split}",
        ("annotations/{split}",),
        _TRAINING,
        names=class_lists.ADE20K_150,
        reduce_zero_label=True,
    ),
    # As MaskFormer's prepare_ade20k_full_sem_seg.py writes it: 16-bit TIFF, 847 classes from 0 on.
    "ade20k-847": FolderLayout(
        847, "images_detectron2/{split}", ("annotations_detectron2/{split}",), _TRAINING, ignore=(65535,)
    ),
    # As mmsegmentation's converter writes it: 0 is everything else.
    "pascal-context-59": FolderLayout(
        59,
        "JPEGImages",
        ("SegmentationClassContext",),
        _TRAIN_VAL,
        ids="ImageSets/SegmentationContext/{split}.txt",
        names=class_lists.CONTEXT_59,
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
        names=class_lists.VOC_20,
        reduce_zero_label=True,
    ),
    "cityscapes": FolderLayout(
        19,
        "leftImg8bit/{split}",
        ("gtFine/{split}",),
        _TRAIN_VAL,
        image_ending="_leftImg8bit",
        mask_ending="_gtFine_labelIds",
        names=class_lists.CITYSCAPES_19,
        ignore=class_lists.CITYSCAPES_VOID,
        values=class_lists.CITYSCAPES_IDS,
    ),
    "coco-stuff-171": FolderLayout(
        171,
        "images/{split}",
        ("annotations/{split}", "stuffthingmaps_trainval2017/{split}", "stuffthingmaps/{split}"),
        {"train": "train2017", "val": "val2017"},
        names=class_lists.COCO_STUFF_171,
        values=class_lists.COCO_STUFF_VALUES,
    ),
    "camvid": FolderLayout(
        11,
        "{split}",
        ("{split}annot",),
        {"train": "train", "val": "val", "test": "test"},
        names=class_lists.CAMVID_11,
        ignore=(11,),
    ),
}


class MaskLayoutSource(MaskSource):
    """A public set as its authors, or the usual converters, lay it out: docs/data.md."""

    layout: Annotated[str, among(LAYOUTS)] = Field(description="its name; docs/data.md lists them")
    path: Annotated[str, PATH] = Field(description="its folder")
    split: str | None = Field(default=None, description="which of its splits; null is val")
    classes: Annotated[str | None, PATH_OR_NAME] = Field(
        default=None, description="a text file of class names, where the layout has none of its own"
    )

    def read(self, reading: Reading) -> PairedMaskDataset:
        """Reads one split; raises as `read_folders`."""
        return read_folders(
            LAYOUTS[self.layout],
            place(self.path),
            split="val" if self.split is None else self.split,
            classes=None if self.classes is None else place(self.classes),
            reading=reading,
        )
