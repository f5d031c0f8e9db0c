"""ImageNet, the test sets that share its classes, and its 1,000 classes: WordNet ids and the names used in prompts.

imagenet          train/ and val/, each of folders such as n01443537; or the path of one of the two
imagenet-v2       folders 0 to 999, the class numbers
imagenet-r, -a    200 folders of ids: evaluation chooses among these 200 classes
imagenet-sketch   1,000 folders of ids
imagenet-c        CORRUPTION/SEVERITY/ID
objectnet         objectnet-1.0 as released: 313 class folders, each image with a red border of 2 pixels
    images/<folder>/*.png
    mappings/folder_to_objectnet_label.json      {"alarm_clock": "Alarm clock", ...}
    mappings/objectnet_to_imagenet_1k.json       {"Alarm clock": "analog clock; digital clock", ...}, 113 entries
    mappings/imagenet_to_label_2012_v2           ImageNet's labels, one per line, in an order of its own
    mappings/pytorch_to_imagenet_2012_id.json    {"0": line of the label above, ...}, by class number

Ids come from timm, names from open_clip (extra `open-clip`): those of CLIP's authors, in which two names occur twice
and are made distinct here. A file of ids replaces both, for subsets and for machines without the extra.
"""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from radapter.data.images.sequences import ChangedImages
from radapter.data.labelled.class_folders import (
    files_source,
    first_few,
    folders_in,
    images_in,
    list_class_folders,
    refuse_absent,
    refuse_empty,
)
from radapter.data.labelled.labels import refuse_duplicates
from radapter.data.labelled.source import LabelledImages
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse
from radapter.errors import ConfigError, DataError, MissingExtraError
from radapter.given_files import parse_json, read_json_file, read_text

SPLITS = ("train", "val")
_BORDER = 2  # pixels, of ObjectNet's images
_Content = TypeVar("_Content")

# In OpenAI's list two classes are "missile" and two are "sunglasses"; these are the WordNet names of one of each.
_DISTINCT = {"n04008634": "projectile", "n04355933": "sunglass"}
_NOTE = (
    "Two ImageNet classes are renamed, because OpenAI's list has 'missile' and 'sunglasses' twice: n04008634 is "
    "'projectile' and n04355933 is 'sunglass'."
)
_WNID = re.compile(r"n\d{8}")


def read_imagenet(
    path: Path, *, split: str | None = None, wnids: Path | None = None, reading: Reading
) -> LabelledImages:
    """ImageNet: the folder that holds train/ and val/, which needs `split`, or one of these.

    Raises ConfigError if a split is needed and not given or does not exist, and DataError as `read_wnid_folders`.
    """
    present = [name for name in folders_in(path) if name in SPLITS]
    if split is None and present:
        raise ConfigError(f"split must be one of {', '.join(present)}. '{path}' holds them. Give split.")
    if split is not None:
        refuse_absent("split", split, path, present, none="neither train nor val")
    return read_wnid_folders(path if split is None else path / split, wnids=wnids, reading=reading)


def read_imagenet_c(
    path: Path, *, corruption: str, severity: int, wnids: Path | None = None, reading: Reading
) -> LabelledImages:
    """ImageNet-C: one corruption at one severity; raises ConfigError if they do not exist."""
    for key, value in (("corruption", corruption), ("severity", str(severity))):
        refuse_absent(key, value, path, folders_in(path))
        path = path / value
    return read_wnid_folders(path, wnids=wnids, reading=reading)


def read_imagenet_v2(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledImages:
    """ImageNetV2: folders named by class numbers; raises DataError if a folder has another name or is empty."""
    files, classes = list_class_folders(path), imagenet_classes(wnids)
    names = list(classes.values())
    numbers = {name: int(name) for name in files if name.isdecimal() and int(name) < len(names)}
    strangers = [name for name in files if name not in numbers]
    if strangers:
        raise DataError(
            f"class folders must be named 0 to {len(names) - 1}, the class numbers. In '{path}' {len(strangers)} of "
            f"{len(files)} are not: {first_few(strangers)}. Give the folder that holds them."
        )
    named = {names[numbers[folder]]: files[folder] for folder in sorted(files, key=numbers.__getitem__)}
    return files_source(path.name, named, reading=reading, notes=_notes(named, classes))


def read_wnid_folders(
    path: Path, *, wnids: Path | None = None, reading: Reading, only_these: bool = False
) -> LabelledImages:
    """Folders named by WordNet ids, in the order of the class numbers; for `wnids` see `imagenet_classes`.

    With `only_these`, evaluation chooses only among the classes that have a folder (ImageNet-R and -A).
    """
    files, classes = list_class_folders(path), imagenet_classes(wnids)
    strangers = [wnid for wnid in files if wnid not in classes]
    if strangers:
        raise DataError(
            f"class folders must be named by WordNet ids among the {len(classes)} of "
            f"{'ImageNet' if wnids is None else repr(str(wnids))}. In '{path}' {len(strangers)} of {len(files)} are "
            f"not: {first_few(strangers)}. Remove them, or give wnids: a file of ids and names."
        )
    named = {name: files[wnid] for wnid, name in classes.items() if wnid in files}
    candidates = dict.fromkeys(named, ()) if only_these else None
    notes = _notes(named, classes)
    return files_source(path.name, named, reading=reading, candidates=candidates, notes=notes)


def read_objectnet(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledImages:
    """ObjectNet's 113 classes shared with ImageNet, with ImageNet's names as alternatives; borders are cut off.

    Many of these classes mean several ImageNet classes. Each of these is a right answer, and evaluation takes the
    largest of their logits (as WiSE-FT). Source: Barbu et al., NeurIPS 2019.
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
    return source._replace(images=ChangedImages(source.images, _without_border))


def imagenet_classes(wnids: Path | None = None) -> dict[str, str]:
    """WordNet id -> class name, in the order of the class numbers; by default those of ImageNet.

    `wnids` is a text file with one id per line, in class order, followed by the name (LOC_synset_mapping.txt), or a
    JSON file (imagenet_class_index.json). A list of all 1,000 classes takes the built-in names.
    Raises DataError for a wrong file and MissingExtraError without open_clip.
    """
    if wnids is None:
        return _with_built_in_names()
    listed = _listed(wnids)
    if len(listed) == 1000:
        return _with_built_in_names(list(listed))
    named = {wnid: name for wnid, name in listed.items() if name}
    if len(named) < len(listed):
        raise DataError(
            f"a list of other than 1,000 WordNet ids must name the classes. '{wnids}' has {len(listed)} ids and "
            f"{len(named)} names. Write 'n01443537 goldfish' in each line."
        )
    refuse_duplicates(list(named.values()), f"'{wnids}'")
    return named


def _notes(names: Collection[str], classes: Mapping[str, str]) -> tuple[str, ...]:
    """The note for the user if one of the names is not OpenAI's."""
    is_noted = any(name in names and classes.get(wnid) == name for wnid, name in _DISTINCT.items())
    return (_NOTE,) if is_noted else ()


def _with_built_in_names(wnids: list[str] | None = None) -> dict[str, str]:
    try:
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
        from timm.data import ImageNetInfo
    except ImportError as error:
        raise MissingExtraError(
            "ImageNet's class names are read from open_clip. It is not installed: pip install "
            "'radapter[open-clip]', or give wnids: a file of ids and names."
        ) from error
    ids = list(ImageNetInfo("imagenet-1k").label_names()) if wnids is None else wnids
    return {wnid: _DISTINCT.get(wnid, name) for wnid, name in zip(ids, IMAGENET_CLASSNAMES, strict=True)}


def _listed(path: Path) -> dict[str, str]:
    """WordNet id -> name, or "" if the file has none."""
    text = read_or_refuse(read_text, path, "wnids must be a UTF-8 text or JSON file")
    if path.suffix.lower() == ".json":
        try:
            entries = sorted((int(number), list(entry)) for number, entry in parse_json(text).items())
            lines = [[str(wnid), str(name)] for _, (wnid, name) in entries]
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f'wnids as JSON must read {{"0": ["n01440764", "tench"], ...}}. \'{path}\': {error}.'
            ) from error
    else:
        # LOC_synset_mapping.txt gives synonyms after commas: the first is the name.
        lines = [[*line.split(maxsplit=1), ""][:2] for line in text.splitlines() if line.strip()]
    wrong = [wnid for wnid, _ in lines if not _WNID.fullmatch(wnid)]
    if wrong or not lines:
        raise DataError(
            f"wnids must hold WordNet ids such as n01443537. '{path}' has {len(lines)} entries, of which "
            f"{len(wrong)} are no ids{': ' + first_few(wrong) if wrong else ''}."
        )
    refuse_duplicates([wnid for wnid, _ in lines], f"'{path}'")
    return {wnid: name.split(",")[0].strip() for wnid, name in lines}


def _without_border(image: Image.Image, index: int) -> Image.Image:
    return image.crop((_BORDER, _BORDER, image.width - _BORDER, image.height - _BORDER))


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
