"""Class names, and how the classes of one source become the classes of another.

A source gives names or integers. They become names (by the source's own list), then names of the training classes
(by the user's map and `data.rename`), then indices into the training classes. Class names have spaces instead of
underscores and are compared by `radapter.zeroshot.name_key`, without regard to case and white space.
"""

import collections
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from radapter.data.labelled.source import LabelledImages
from radapter.data.wording import read_or_refuse, some
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text
from radapter.zeroshot import equal_names, name_key, spellings, spoken


class Resolved(NamedTuple):
    """Labels in the training label space.

    Attributes:
        classnames: C names.
        given: the source's classes after the map, before underscores are replaced and `data.rename` is applied.
        labels: (M,), int64, into `classnames`.
        rows: (M,), int64, ascending: the source's images that remain.
        candidates: as in `ClassificationSet`.
    """

    classnames: tuple[str, ...]
    given: tuple[str, ...]
    labels: Tensor
    rows: Tensor
    candidates: Tensor | None


def read_classnames(names: Sequence[str] | str | os.PathLike[str]) -> tuple[str, ...]:
    """Class names from a list or a UTF-8 text file, one per line; raises DataError if two are equal, or for none."""
    if isinstance(names, (str, os.PathLike)):
        text = read_or_refuse(read_text, Path(names), "class names must be a list or a UTF-8 text file")
        listed, origin = tuple(line.strip() for line in text.splitlines() if line.strip()), f"'{names}'"
    else:
        listed, origin = tuple(str(name) for name in names), "the class list"
    if not listed:
        raise DataError(f"class names must not be empty. {origin} has none.")
    refuse_duplicates(listed, origin)
    return listed


def resolve(
    source: LabelledImages,
    *,
    classes: Sequence[str] | None = None,
    mapping: Mapping[str, str | None] | None = None,
    classnames: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    half: str | None = None,
    half_order: str = "list",
    shared: bool = False,
) -> Resolved:
    """Converts a source's labels to the training label space.

    Integer labels are indices into the source's class list. Without one, they are names if all are among
    `classnames` or if there is a map; otherwise they are indices into `classnames`.

    Args:
        classes: the source's class list; replaces its own.
        mapping: source class to training class, many to one; None drops the class; others keep their name.
        classnames: the training classes, already renamed; None takes the source's, mapped and renamed.
        rename: class name to new name, applied after `mapping`; names that do not occur are ignored here.
        half: "base" or "novel" keeps that half of the source's mapped classes.
        half_order: "list" or "names"; in "names" capitals come before small letters.
        shared: drop classes that `classnames` lacks; otherwise they are an error.

    Raises:
        ConfigError: the map names a class that the source lacks, or `half` has no class list to halve.
        DataError: a label is missing or outside the class list, two class names are equal, or `classnames`
            lacks a class that has images.
    """
    own = source.classnames if classes is None else classes
    rename = rename or {}
    if own is not None:
        refuse_duplicates(own, f"the class list of '{source.name}'", exactly=True)
    names = _named(source, own, training=None if mapping else classnames)
    listed = sorted(set(names), key=_natural) if own is None else own
    mapping = _in_their_spelling(mapping or {}, listed, source.name)
    mapped = {theirs: mapping.get(theirs, theirs) for theirs in listed}
    target = {theirs: ours for theirs, ours in mapped.items() if ours is not None}  # without dropped classes
    given = tuple(dict.fromkeys(target.values()))
    if half is not None:  # by the names that the source gives: data.rename moves no class to the other half
        kept = _half(map(spoken, target.values()), half, half_order, source.name, is_whole=own is not None)
        target = {theirs: name for theirs, name in target.items() if spoken(name) in kept}
    final = _final_names(given, rename, source.name)
    target = {theirs: final[name] for theirs, name in target.items()}
    if classnames is None:
        training = tuple(dict.fromkeys(target.values()))
    else:
        training = tuple(spoken(name) for name in classnames)
        refuse_duplicates(training, "the list of training classes")
    spelling = {name_key(name): name for name in training}
    target = {theirs: spelling.get(name_key(name), name) for theirs, name in target.items()}
    candidates = None
    if source.candidates is not None:
        candidates = {
            theirs: [spelling.get(name_key(name), name) for name in renamed(others, rename)]
            for theirs, others in source.candidates.items()
        }
    index = {name: number for number, name in enumerate(training)}
    if classnames is not None:
        for theirs, others in (candidates or {}).items():  # training may know a class by another of its names
            if theirs in target and target[theirs] not in index and theirs not in mapping:
                target[theirs] = next((name for name in others if name in index), target[theirs])
        if shared:
            target = {theirs: ours for theirs, ours in target.items() if ours in index}
        _refuse_strangers(names, target, training, source.name, mapped=mapping)
    rows = [row for row, name in enumerate(names) if name in target]
    return Resolved(
        training,
        given,
        torch.tensor([index[target[names[row]]] for row in rows], dtype=torch.int64),
        torch.tensor(rows, dtype=torch.int64),
        None if candidates is None else _columns(candidates, target, index),
    )


def refuse_duplicates(names: Sequence[str], origin: str, *, exactly: bool = False) -> None:
    """Raises DataError if two names of `origin` are equal by `name_key`; with `exactly`, if they are identical."""
    if exactly:
        twice = [repr(name) for name, count in collections.Counter(names).items() if count > 1]
    else:
        twice = [spellings(group) for group in equal_names(names)]
    if twice:
        ignored = "" if exactly else " Case, underscores and extra spaces do not count."
        raise DataError(
            f"class names must differ. {origin} repeats {_some(twice)}.{ignored} Rename all but one of each."
        )


def renamed(names: Iterable[str], rename: Mapping[str, str]) -> list[str]:
    """Class names for prompts, with `data.rename` applied; its keys match by `name_key`."""
    new_of = {name_key(old): new for old, new in rename.items()}
    return [spoken(new_of.get(name_key(name), name)) for name in names]


def _final_names(given: Sequence[str], rename: Mapping[str, str], source: str) -> dict[str, str]:
    """Given name -> name in prompts; raises DataError if two of these are equal."""
    final = dict(zip(given, renamed(given, rename), strict=True))
    keys = collections.defaultdict(list)
    for name, new in final.items():
        keys[name_key(new)].append(name)
    equal = [group for group in keys.values() if len(group) > 1]
    if equal:
        first = equal[0]
        joining = ", ".join(f"{name!r}: {final[first[0]]!r}" for name in first)
        raise DataError(
            f"class names must differ. In '{source}' these are equal: {_some(list(map(spellings, equal)))}. Case, "
            f"underscores and extra spaces do not count, and data.rename is applied. If they are one class, join "
            f"them with labels: {{{joining}}}; otherwise give all but one another name."
        )
    return final


def _columns(
    candidates: Mapping[str, Sequence[str]], target: Mapping[str, str], index: Mapping[str, int]
) -> Tensor | None:
    """The training classes that each class of the source may have, one row per class, filled by repeating."""
    rows: dict[int, list[int]] = {}
    for theirs, names in candidates.items():
        if theirs in target:  # else dropped by the map, or by the class list that the user gave
            known = list(dict.fromkeys(index[name] for name in (target[theirs], *names) if name in index))
            if known:  # two classes that are mapped to one training class are one
                rows.setdefault(known[0], []).extend(known)
    if len(rows) == len(index):
        return None
    widest = max((len(row) for row in rows.values()), default=0)
    filled = [row + row[:1] * (widest - len(row)) for row in rows.values()]
    return torch.tensor(filled, dtype=torch.int64).reshape(len(rows), widest)


def _named(source: LabelledImages, own: Sequence[str] | None, *, training: Sequence[str] | None) -> list[str]:
    """Labels as names; `training` is None if integers must not be indices into the training classes."""
    absent = [source.images.where(row) for row, label in enumerate(source.labels) if label in (None, "")]
    if absent:
        raise DataError(f"every row must have a label. In '{source.name}' {_some(absent)} lack one.")
    labels = [label for label in source.labels if label is not None]
    are_integers = all(isinstance(label, int) for label in labels)
    if own is not None:
        return (_numbered if are_integers else _listed)(labels, own, source.name)
    if are_integers and training is not None and not {str(label) for label in labels} <= set(training):
        return _numbered(labels, training, source.name)
    return [str(label) for label in labels]


def _numbered(labels: Sequence[str | int], listed: Sequence[str], name: str) -> list[str]:
    names = dict(enumerate(listed))
    rule = f"integer labels must be in [0, {len(listed) - 1}], the class list"
    return _all_found(labels, [names.get(int(label)) for label in labels], rule, name)


def _listed(labels: Sequence[str | int], listed: Sequence[str], name: str) -> list[str]:
    spelling = {name_key(theirs): theirs for theirs in listed} | {theirs: theirs for theirs in listed}
    found = [spelling.get(label, spelling.get(name_key(label))) for label in map(str, labels)]
    return _all_found(labels, found, f"labels must be in the class list of {len(listed)}", name)


def _all_found(labels: Sequence[str | int], found: Sequence[str | None], rule: str, source: str) -> list[str]:
    outside = collections.Counter(str(label) for label, own in zip(labels, found, strict=True) if own is None)
    if outside:
        raise DataError(
            f"{rule}. '{source}' also has {_counted(outside)}. Correct the labels, or give the list as `classes`."
        )
    return [own for own in found if own is not None]


def _in_their_spelling(
    mapping: Mapping[str, str | None], own: Sequence[str], name: str
) -> dict[str, str | None]:
    """The map with the source's spelling of its keys: an identical one first, else those equal by `name_key`."""
    exact, keys = set(own), collections.defaultdict(list)
    for theirs in own:
        keys[name_key(theirs)].append(theirs)
    found: dict[str, str | None] = {}
    for asked, ours in mapping.items():
        matching = [asked] if asked in exact else keys[name_key(asked)]
        if not matching:
            raise ConfigError(
                f"labels must map classes of the source. '{name}' has no class {asked!r}."
                f"{did_you_mean(asked, own)}"
            )
        found |= dict.fromkeys(matching, ours)
    return found


def _half(names: Iterable[str], half: str, order: str, source: str, *, is_whole: bool) -> set[str]:
    """One half of the class names; base is the first half and the larger one, as in CoOp."""
    if not is_whole:
        # From the rows alone, a set that lacks a class would be halved differently from the others.
        raise ConfigError(f"half needs the whole class list. '{source}' has none. Give it as classes: [...].")
    ours = list(dict.fromkeys(names))
    if len(ours) < 2:
        raise ConfigError(f"half needs at least two classes. '{source}' has {len(ours)}. Leave half out.")
    if order == "names":
        ours.sort()
    middle = (len(ours) + 1) // 2
    return set(ours[:middle] if half == "base" else ours[middle:])


def _refuse_strangers(
    names: Sequence[str],
    target: Mapping[str, str],
    training: tuple[str, ...],
    source: str,
    *,
    mapped: Collection[str],
) -> None:
    known = set(training)
    strangers = collections.Counter(name for name in names if name in target and target[name] not in known)
    if strangers:
        first = min(strangers)
        shown = {
            f"{name}, mapped to {target[name]}" if name in mapped else name: count
            for name, count in strangers.items()
        }
        raise DataError(
            f"the classes of '{source}' must be among the {len(training)} training classes: those of "
            f"data.classnames, else those of data.train. {_counted(shown)} are not. To leave them out, add "
            f"`shared: true` to the source. For a training class under another name, add a map: labels: "
            f"{{{first}: {training[0]}}}; or rename it in every set: data: {{rename: {{{first}: {training[0]}}}}}."
            f"{did_you_mean(target[first], training)}"
        )


def _counted(counts: Mapping[str, int]) -> str:
    return _some([f"{name!r} ({count} images)" for name, count in sorted(counts.items())])


def _some(items: Sequence[str]) -> str:
    return f"{len(items)}: {some(items)}"


def _natural(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (0, name)
