"""Data sets of two folders, images and masks, by layout: where the files are and what their values mean.

A set that is stored as parquet, `SPLIT.parquet` with the columns `image` and `mask`, is read from that file.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, final

from radapter.data.columns import parquet_table
from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.label_maps import VOID, EncodedMaps
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.pairing import files_by_id, paired_files
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text

_NUMBERED = re.compile(r"^\d+\s*:\s*")


@final
@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """Where the files of a data set are, below its folder, and what their values mean.

    Attributes:
        classes: Number of classes.
        images: Folder of images; {split} stands for a value of `splits`.
        masks: Folders of masks, of which the first that exists is used.
        splits: Name of a split -> its name in the data set.
        image_ending: What follows the id in image names.
        mask_ending: What follows the id in mask names.
        ids: Text file of a split's ids, one per line; None if a folder holds exactly one split.
        lead: The folder that holds exactly one split, "image" or "mask"; the other may hold more.
        names: The class list; None if it comes with the data.
        names_file: The text file of the data that has it, "number: name" or "name" in each line; None if the user
            must give one.
        ignore: Values without a class.
        reduce_zero_label: Whether value 0 has no class either, and value 1 is the first class.
        values: The value of each class, in order; None if they count up.
    """

    classes: int
    images: str
    masks: tuple[str, ...]
    splits: Mapping[str, str]
    image_ending: str = ""
    mask_ending: str = ""
    ids: str | None = None
    lead: Literal["image", "mask"] = "image"
    names: tuple[str, ...] | None = None
    names_file: str | None = None
    ignore: tuple[int, ...] = (VOID,)
    reduce_zero_label: bool = False
    values: tuple[int, ...] | None = None


def read_folders(
    layout: FolderLayout, path: Path, *, split: str, classes: Path | None, reading: Reading
) -> PairedMaskDataset:
    """One split of a data set in the folder `path`; `classes` is a text file that replaces the built-in class list.

    Raises:
        ConfigError: There is no such split, or the class list must be given.
        DataError: A folder or file is missing, images and masks do not pair, or the class list has another length.
    """
    if split not in layout.splits:
        raise ConfigError(
            f"split must be one of {', '.join(layout.splits)}. Got {split!r}.{did_you_mean(split, layout.splits)}"
        )
    meaning: dict[str, Any] = {
        "ignore": layout.ignore,
        "reduce_zero_label": layout.reduce_zero_label,
        "values": None if layout.values is None else {v: c for c, v in enumerate(layout.values)},
    }
    names, name = _names(layout, path, classes), f"{path.name} {split}"
    if (path / f"{split}.parquet").is_file():
        return parquet_masks(path / f"{split}.parquet", classes=names, name=name, reading=reading, **meaning)
    images, masks = path / layout.images.format(split=layout.splits[split]), _masks(layout, path, split)
    pairs = paired_files(
        images,
        masks,
        image_ending=layout.image_ending,
        mask_ending=layout.mask_ending,
        ids=_ids(layout, path, split, images, masks),
    )
    return PairedMaskDataset(
        FilePictures([pair.image for pair in pairs], max_pixels=reading.max_pixels),
        EncodedMaps(FilePictures([pair.mask for pair in pairs], max_pixels=reading.max_pixels)),
        names,
        ids=[pair.id for pair in pairs],
        name=name,
        **meaning,
    )


def parquet_masks(
    path: Path,
    *,
    classes: tuple[str, ...],
    image: str = "image",
    mask: str = "mask",
    name: str | None = None,
    reading: Reading,
    **meaning: Any,
) -> PairedMaskDataset:
    """A parquet file with a column of images and one of label maps; an image's id is its stored file name.

    Args:
        path: The file.
        classes: The class list.
        image: Column of images.
        mask: Column of label maps.
        name: The set's name; None takes that of the file.
        reading: Limits of images and masks.
        **meaning: ignore, reduce_zero_label, values and exif of `PairedMaskDataset`.

    Raises:
        ConfigError: There is no such column.
        DataError: The file is missing or damaged, or a column holds something else.
    """
    table = parquet_table([str(path)])
    table.require(image, mask)
    return PairedMaskDataset(
        table.pictures(image, max_pixels=reading.max_pixels),
        EncodedMaps(table.pictures(mask, max_pixels=reading.max_pixels)),
        classes,
        ids=_stems(table.paths(image)),
        name=table.name if name is None else name,
        **meaning,
    )


def _stems(paths: Sequence[str | None]) -> list[str] | None:
    """File names without suffix; None if one is missing or repeated."""
    stems = [PurePosixPath(path).stem for path in paths if path]
    return stems if len(set(stems)) == len(paths) else None


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


def _masks(layout: FolderLayout, path: Path, split: str) -> Path:
    """The first folder of masks that exists; if none does, the first of all, for the message."""
    folders = [path / name.format(split=layout.splits[split]) for name in layout.masks]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _ids(layout: FolderLayout, path: Path, split: str, images: Path, masks: Path) -> list[str]:
    if layout.ids is None:
        leads = {"image": (images, layout.image_ending), "mask": (masks, layout.mask_ending)}
        return list(files_by_id(*leads[layout.lead], layout.lead))
    file = path / layout.ids.format(split=layout.splits[split])
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list of images must be a UTF-8 text file. '{file}': {error}.") from error
    return [line.strip() for line in lines if line.strip()]
