"""ImageNet, the test sets that share its classes, and its 1,000 classes: WordNet ids and the names used in prompts.

imagenet          train/ and val/, each of folders such as n01443537; or the path of one of the two
imagenet-v2       folders 0 to 999, the class numbers
imagenet-r, -a    200 folders of ids: evaluation chooses among these 200 classes
imagenet-sketch   1,000 folders of ids
imagenet-c        CORRUPTION/SEVERITY/ID

Ids come from timm, names from open_clip (extra `open-clip`): those of CLIP's authors, in which two names occur twice
and are made distinct here. A file of ids replaces both, for subsets and for machines without the extra.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from radapter.data.labelled.class_folders import files_source, first_few, folders_in, list_class_folders
from radapter.data.labelled.labels import LabelledPictures, refuse_duplicates
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse
from radapter.errors import ConfigError, DataError, MissingExtraError, did_you_mean
from radapter.given_files import parse_json, read_text

SPLITS = ("train", "val")

# In OpenAI's list two classes are "missile" and two are "sunglasses"; these are the WordNet names of one of each.
_DISTINCT = {"n04008634": "projectile", "n04355933": "sunglass"}
_NOTE = (
    "Two ImageNet classes are renamed, because OpenAI's list has 'missile' and 'sunglasses' twice: n04008634 is "
    "'projectile' and n04355933 is 'sunglass'."
)
_WNID = re.compile(r"n\d{8}")


def read_imagenet(
    path: Path, *, split: str | None = None, wnids: Path | None = None, reading: Reading
) -> LabelledPictures:
    """ImageNet: the folder that holds train/ and val/, which needs `split`, or one of these.

    Raises:
        ConfigError: a split is needed and not given, or given and does not exist.
        DataError: as `read_wnid_folders`.
    """
    present = [name for name in folders_in(path) if name in SPLITS]
    if split is None and present:
        raise ConfigError(f"split must be one of {', '.join(present)}. '{path}' holds them. Give split.")
    if split is not None:
        _refuse_absent("split", split, path, present, none="neither train nor val")
    return read_wnid_folders(path if split is None else path / split, wnids=wnids, reading=reading)


def read_imagenet_c(
    path: Path, *, corruption: str, severity: int, wnids: Path | None = None, reading: Reading
) -> LabelledPictures:
    """ImageNet-C: one corruption (the name of its folder) at one severity.

    Raises:
        ConfigError: there is no such corruption or severity.
        DataError: as `read_wnid_folders`.
    """
    for key, value in (("corruption", corruption), ("severity", str(severity))):
        _refuse_absent(key, value, path, folders_in(path))
        path = path / value
    return read_wnid_folders(path, wnids=wnids, reading=reading)


def read_imagenet_v2(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledPictures:
    """ImageNetV2: folders named by class numbers.

    Raises:
        DataError: a folder is missing, empty, or not named by a class number.
    """
    files = list_class_folders(path)
    names = list(imagenet_classes(wnids).values())
    numbers = {name: int(name) for name in files if name.isdecimal() and int(name) < len(names)}
    strangers = [name for name in files if name not in numbers]
    if strangers:
        raise DataError(
            f"class folders must be named 0 to {len(names) - 1}, the class numbers. In '{path}' {len(strangers)} of "
            f"{len(files)} are not: {first_few(strangers)}. Give the folder that holds them."
        )
    in_order = sorted(files, key=numbers.__getitem__)
    classes = {names[numbers[folder]]: files[folder] for folder in in_order}
    return files_source(path.name, classes, reading=reading, notes=_notes_on(classes, wnids))


def read_wnid_folders(
    path: Path, *, wnids: Path | None = None, reading: Reading, only_these: bool = False
) -> LabelledPictures:
    """Folders named by WordNet ids, in the order of the class numbers.

    Args:
        path: the folder that holds them.
        wnids: see `imagenet_classes`.
        reading: limits of images.
        only_these: whether evaluation chooses only among the classes that have a folder (ImageNet-R and -A).

    Raises:
        DataError: a folder is missing, empty, or not named by a known id; or as `imagenet_classes`.
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
    notes = _notes_on(named, wnids)
    return files_source(path.name, named, reading=reading, candidates=candidates, notes=notes)


def imagenet_classes(wnids: Path | None = None) -> dict[str, str]:
    """WordNet id -> class name, in the order of the class numbers; by default those of ImageNet.

    Args:
        wnids: a text file with one id per line, in class order, followed by the name (LOC_synset_mapping.txt), or
            JSON (imagenet_class_index.json). A list of all 1,000 classes takes the built-in names.

    Raises:
        DataError: the file is missing, has other content, or lacks names.
        MissingExtraError: the built-in ids or names are needed and open_clip is not installed.
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


def _refuse_absent(key: str, value: str, folder: Path, present: list[str], none: str = "none") -> None:
    if value not in present:
        raise ConfigError(
            f"{key} must be a folder of '{folder}', which holds {', '.join(present) or none}. Got {value!r}."
            f"{did_you_mean(value, present)}"
        )


def _notes_on(names: Iterable[str], wnids: Path | None) -> tuple[str, ...]:
    """The note for the user if one of the names is not OpenAI's."""
    named = imagenet_classes(wnids)
    changed = {name for wnid, name in _DISTINCT.items() if named.get(wnid) == name}
    return (_NOTE,) if changed.intersection(names) else ()


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
        lines = _of_class_index(text, path)
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


def _of_class_index(text: str, path: Path) -> list[list[str]]:
    """The entries of {"0": ["n01440764", "tench"], ...} in the order of their numbers."""
    try:
        entries = sorted((int(number), list(entry)) for number, entry in parse_json(text).items())
        return [[str(wnid), str(name)] for _, (wnid, name) in entries]
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f'wnids as JSON must read {{"0": ["n01440764", "tench"], ...}}. \'{path}\': {error}.'
        ) from error
