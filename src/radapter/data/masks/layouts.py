"""The layouts of public segmentation sets: name -> where the files are and what their values mean.

A new one is a row of LAYOUTS. docs/data.md draws the folders of each. A set that is stored as parquet,
`SPLIT.parquet` with the columns `image` and `mask`, is read from that file.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import Field

from radapter.data.labelled.labels import read_classnames
from radapter.data.masks import class_lists as lists
from radapter.data.masks.label_maps import VOID
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.pairing import files_by_id, paired_files
from radapter.data.masks.source import MaskSource, parquet_masks
from radapter.data.paths import PATH, PATH_OR_NAME, place
from radapter.data.source import Reading, among
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text

_NUMBERED = re.compile(r"^\d+\s*:\s*")


@final
@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """Where the files of a data set are, below its folder, and what their values mean."""

    classes: int  # their number
    images: str  # the folder; {split} is a value of `splits`
    masks: tuple[str, ...]  # folders, of which the first that exists is used
    splits: Mapping[str, str]  # name of a split -> its name in the data set
    image_ending: str = ""  # what follows the id in the names of images
    mask_ending: str = ""  # and of masks
    ids: str | None = None  # text file of a split's ids; None if the folder `lead` holds just one split
    lead: Literal["image", "mask"] = "image"  # the other folder may hold more than the split
    names: tuple[str, ...] | None = None  # the class list; None if it comes with the data
    names_file: str | None = None  # lines of "number: name" or "name"; None if the user must give one
    ignore: tuple[int, ...] = (VOID,)  # values without a class
    reduce_zero_label: bool = False  # as for `PairedMaskDataset`
    values: tuple[int, ...] | None = None  # of the classes, in order; None if they count up


_TRAIN_VAL = {"train": "train", "val": "val"}
_TRAINING = {"train": "training", "val": "validation"}
_OVSEG = {"val": "val"}  # its converter makes the validation set alone

LAYOUTS: dict[str, FolderLayout] = {
    "ade20k-150": FolderLayout(
        150,
        "images/{split}",
        ("annotations/{split}",),
        _TRAINING,
        names=lists.ADE20K_150,
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
        names=lists.CONTEXT_59,
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
        names=lists.VOC_20,
        reduce_zero_label=True,
    ),
    "cityscapes": FolderLayout(
        19,
        "leftImg8bit/{split}",
        ("gtFine/{split}",),
        _TRAIN_VAL,
        image_ending="_leftImg8bit",
        mask_ending="_gtFine_labelIds",
        names=lists.CITYSCAPES_19,
        ignore=lists.CITYSCAPES_VOID,
        values=lists.CITYSCAPES_IDS,
    ),
    "coco-stuff-171": FolderLayout(
        171,
        "images/{split}",
        ("annotations/{split}", "stuffthingmaps_trainval2017/{split}", "stuffthingmaps/{split}"),
        {"train": "train2017", "val": "val2017"},
        names=lists.COCO_STUFF_171,
        values=lists.COCO_STUFF_VALUES,
    ),
    "camvid": FolderLayout(
        11,
        "{split}",
        ("{split}annot",),
        {"train": "train", "val": "val", "test": "test"},
        names=lists.CAMVID_11,
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
        """Reads one split.

        Raises:
            ConfigError: There is no such split, or the class list must be given.
            DataError: A file is missing, images and masks do not pair, or the class list has another length.
        """
        layout, path, split = (
            LAYOUTS[self.layout],
            place(self.path),
            "val" if self.split is None else self.split,
        )
        if split not in layout.splits:
            raise ConfigError(
                f"split must be one of {', '.join(layout.splits)}. Got {split!r}."
                f"{did_you_mean(split, layout.splits)}"
            )
        meaning: dict[str, Any] = {
            "classes": _names(layout, path, None if self.classes is None else place(self.classes)),
            "ignore": layout.ignore,
            "reduce_zero_label": layout.reduce_zero_label,
            "values": None if layout.values is None else {v: c for c, v in enumerate(layout.values)},
            "name": f"{path.name} {split}",
        }
        if (path / f"{split}.parquet").is_file():
            return parquet_masks(path / f"{split}.parquet", reading=reading, **meaning)

        def below(name: str) -> Path:
            return path / name.format(split=layout.splits[split])

        images, folders = below(layout.images), list(map(below, layout.masks))
        masks = next((folder for folder in folders if folder.is_dir()), folders[0])
        leads = {"image": (images, layout.image_ending), "mask": (masks, layout.mask_ending)}
        files, masks_of_files, ids = paired_files(
            images,
            masks,
            image_ending=layout.image_ending,
            mask_ending=layout.mask_ending,
            ids=_lines(below(layout.ids))
            if layout.ids
            else list(files_by_id(*leads[layout.lead], layout.lead)),
            max_pixels=reading.max_pixels,
        )
        return PairedMaskDataset(files, masks_of_files, ids=ids, **meaning)


def _names(layout: FolderLayout, path: Path, given: Path | None) -> tuple[str, ...]:
    if given is None and layout.names is not None:
        return layout.names
    file = path / layout.names_file if given is None and layout.names_file is not None else given
    if file is None:
        raise ConfigError(
            f"the class list of '{path}' must be given: its {layout.classes} names come with the program that "
            "converted it. Give classes, a text file with one name a line, in the order of the label values."
        )
    names = read_classnames([_NUMBERED.sub("", line) for line in read_classnames(file)])
    if len(names) != layout.classes:
        raise DataError(
            f"the class list of '{path}' must have {layout.classes} names. '{file}' has {len(names)}. Give the "
            "whole list, in the order of the label values."
        )
    return names


def _lines(file: Path) -> list[str]:
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list of images must be a UTF-8 text file. '{file}': {error}.") from error
    return [line.strip() for line in lines if line.strip()]
