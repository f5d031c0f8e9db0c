"""ObjectNet: household objects in unusual places and poses, as released (objectnet-1.0).

    images/<folder>/*.png                        313 folders, each image with a red border of 2 pixels
    mappings/folder_to_objectnet_label.json      {"alarm_clock": "Alarm clock", ...}
    mappings/objectnet_to_imagenet_1k.json       {"Alarm clock": "analog clock; digital clock", ...}, 113 entries
    mappings/imagenet_to_label_2012_v2           ImageNet's labels, one a line, in an order of its own
    mappings/pytorch_to_imagenet_2012_id.json    {"0": line of the label above, ...}, by class number

Source: Barbu et al., NeurIPS 2019. Only the 113 classes shared with ImageNet are read. Many of them mean several
ImageNet classes. Each of these is a right answer, and evaluation takes the largest of their logits (as WiSE-FT).
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from radapter.data.labelled.class_folders import files_source, folders_in, images_in, refuse_empty
from radapter.data.labelled.imagenet import imagenet_classes
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.pictures.pictures import ChangedPictures
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse
from radapter.errors import DataError
from radapter.given_files import read_json_file, read_text

BORDER = 2
_Content = TypeVar("_Content")


def read_objectnet(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledPictures:
    """The shared classes by ObjectNet's names, with ImageNet's as alternatives; borders are cut off.

    Args:
        path: the folder that holds images/ and mappings/.
        wnids: see `imagenet_classes`.
        reading: limits of images.

    Raises:
        DataError: a folder or a mapping is missing or not as released, or a class folder has no image.
    """
    of_folder = _mapping(path, "folder_to_objectnet_label.json")
    meant = _imagenet_names(path, list(imagenet_classes(wnids).values()))
    folders = [name for name in folders_in(path / "images") if of_folder.get(name) in meant]
    if not folders:
        raise DataError(
            f"images must hold class folders shared with ImageNet, such as {next(iter(of_folder), 'banana')!r}. "
            f"'{path / 'images'}' holds none."
        )
    files = {folder: images_in(path / "images" / folder) for folder in folders}
    refuse_empty(path / "images", files)
    source = files_source(
        path.name,
        {str(of_folder[folder]): found for folder, found in files.items()},
        reading=reading,
        candidates={str(of_folder[folder]): meant[of_folder[folder]] for folder in folders},
    )
    return dataclasses.replace(source, pictures=ChangedPictures(source.pictures, _without_border))


def _without_border(image: Image.Image, index: int) -> Image.Image:
    return image.crop((BORDER, BORDER, image.width - BORDER, image.height - BORDER))


def _imagenet_names(path: Path, names: list[str]) -> dict[str, tuple[str, ...]]:
    """ObjectNet's label -> the names of the ImageNet classes that it means."""
    lines = [line.strip() for line in _read(read_text, path, "imagenet_to_label_2012_v2").splitlines()]
    try:
        number_of = {
            lines[line]: int(number)
            for number, line in _mapping(path, "pytorch_to_imagenet_2012_id.json").items()
        }
        return {
            label: tuple(names[number_of[theirs]] for theirs in meant.split("; "))
            for label, meant in _mapping(path, "objectnet_to_imagenet_1k.json").items()
        }
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"the mappings of ObjectNet must fit each other and ImageNet's classes. Those in '{path / 'mappings'}' "
            f"do not: {type(error).__name__}: {error}. Unpack them again, all four from one release."
        ) from error


def _mapping(path: Path, name: str) -> dict[str, Any]:
    found = _read(read_json_file, path, name)
    if not isinstance(found, dict):
        raise DataError(f"mapping must be a JSON object. '{path / 'mappings' / name}' is none.")
    return found


def _read(read: Callable[[Path], _Content], path: Path, name: str) -> _Content:
    requirement = "ObjectNet needs its own mappings, text and JSON files"
    remedy = " Unpack the whole archive and give the folder that holds images and mappings."
    return read_or_refuse(read, path / "mappings" / name, requirement, remedy)
