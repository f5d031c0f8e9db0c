"""ImageNet's 1,000 classes: WordNet ids in the order of their numbers, and the names used in prompts.

Ids come from timm, names from open_clip (extra `open-clip`): those that CLIP's authors wrote, of which two stand
twice and are told apart here. A file of ids replaces both, for subsets and for machines without the extra.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from radapter.data.labelled.class_folders import first_few
from radapter.data.labelled.labels import refuse_duplicates
from radapter.errors import DataError, MissingExtraError
from radapter.given_files import parse_json, read_text

# In OpenAI's list two classes are "missile" and two are "sunglasses"; these are the WordNet names of one of each.
_TOLD_APART = {"n04008634": "projectile", "n04355933": "sunglass"}
_NOTE = (
    "Two ImageNet classes are renamed, because OpenAI's list has 'missile' and 'sunglasses' twice: n04008634 is "
    "'projectile' and n04355933 is 'sunglass'."
)
_WNID = re.compile(r"n\d{8}")


def imagenet_classes(wnids: Path | None = None) -> dict[str, str]:
    """WordNet id -> class name, in the order of the class numbers.

    Args:
        wnids: a text file with an id a line, in class order, and after it the name (LOC_synset_mapping.txt), or
            JSON (imagenet_class_index.json); a list of all 1,000 takes the built-in names. None is ImageNet's own.

    Raises:
        DataError: the file is missing, holds something else, or lacks names.
        MissingExtraError: what is built in is needed and open_clip is not installed.
    """
    if wnids is None:
        return _with_built_in_names(_built_in_wnids())
    listed = _listed(wnids)
    if len(listed) == 1000:
        return _with_built_in_names(list(listed))
    named = {wnid: name for wnid, name in listed.items() if name}
    if len(named) < len(listed):
        raise DataError(
            f"a list of other than 1,000 WordNet ids must name the classes. '{wnids}' has {len(listed)}, of which "
            f"{len(named)} are named. Write 'n01443537 goldfish' in each line."
        )
    refuse_duplicates(list(named.values()), f"'{wnids}'")
    return named


def notes_on_names(names: Iterable[str], wnids: Path | None) -> tuple[str, ...]:
    """What a user must know of these class names: whether one of them is not OpenAI's."""
    named = imagenet_classes(wnids)
    changed = {name for wnid, name in _TOLD_APART.items() if named.get(wnid) == name}
    return (_NOTE,) if changed.intersection(names) else ()


def named_classes(files: dict[str, list[str]], *, path: Path, wnids: Path | None) -> dict[str, list[str]]:
    """Class name -> files, in the order of the class numbers, from WordNet id -> files.

    Raises:
        DataError: a folder is named otherwise than by a known id; or as `imagenet_classes`.
    """
    classes = imagenet_classes(wnids)
    strangers = [wnid for wnid in files if wnid not in classes]
    if strangers:
        raise DataError(
            f"class folders must be named by WordNet ids among the {len(classes)} of "
            f"{'ImageNet' if wnids is None else repr(str(wnids))}. In '{path}' {len(strangers)} of {len(files)} are "
            f"not: {first_few(strangers)}. Remove them, or give wnids: a file of ids and names."
        )
    return {name: files[wnid] for wnid, name in classes.items() if wnid in files}


def _with_built_in_names(wnids: list[str]) -> dict[str, str]:
    try:
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
    except ImportError as error:
        raise _missing() from error
    return {wnid: _TOLD_APART.get(wnid, name) for wnid, name in zip(wnids, IMAGENET_CLASSNAMES, strict=True)}


def _built_in_wnids() -> list[str]:
    try:
        from timm.data import ImageNetInfo
    except ImportError as error:
        raise _missing() from error
    return list(ImageNetInfo("imagenet-1k").label_names())


def _missing() -> MissingExtraError:
    return MissingExtraError(
        "ImageNet's class names are read from open_clip. It is not installed: pip install 'radapter[open-clip]', or "
        "give wnids: a file of ids and names."
    )


def _listed(path: Path) -> dict[str, str]:
    """WordNet id -> name, "" where the file has none."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"wnids must be a UTF-8 text or JSON file. '{path}': {error}.") from error
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
