"""Class names, and how the classes of one source become the classes of another.

A source hands over names or integers. They become names (through the source's own list), then names of the
training classes (through the user's map, and through `data.rename`), then indices into the training classes. Class
names have spaces for underscores. They are compared by `radapter.zeroshot.name_key`, without regard to case,
underscores and white space.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from radapter.data.pictures.pictures import Pictures
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text
from radapter.zeroshot import equal_names, name_key, spellings, spoken


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledPictures:
    """What a source of labelled pictures hands over.

    Attributes:
        name: what messages call it.
        pictures: N pictures.
        labels: N names or N integers; None where a row has no label.
        classnames: the source's own class list; None where it has none.
        keys: (N,), int64, where the source knows its content hashes; None where they must be computed.
        candidates: the classes that a picture of this source may show, each with every name that the training
            classes may have for it; None where it may show any training class.
        groups: N names, one a picture; None where the source has no groups.
        notes: what a user must know of the class names, one sentence each.
    """

    name: str
    pictures: Pictures
    labels: Sequence[str | int | None]
    classnames: tuple[str, ...] | None
    keys: Tensor | None = None
    candidates: Mapping[str, Sequence[str]] | None = None
    groups: Sequence[str] | None = None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Resolved:
    """Labels in the training label space.

    Attributes:
        classnames: C names.
        given: the names of the source's classes after the map, before underscores are replaced and
            `data.rename` is applied.
        labels: (M,), int64, into `classnames`.
        rows: (M,), int64, ascending: the source's pictures that remain.
        candidates: (K, S), int64, into `classnames`, as in `ClassificationSet`; None where all are possible.
    """

    classnames: tuple[str, ...]
    given: tuple[str, ...]
    labels: Tensor
    rows: Tensor
    candidates: Tensor | None


def read_classnames(names: Sequence[str] | str | os.PathLike[str]) -> tuple[str, ...]:
    """Class names from a list, or from a UTF-8 text file with one a line.

    Returns:
        The names as they are written; `radapter.zeroshot.spoken` gives those of prompts.

    Raises:
        DataError: the file is missing or empty, or two names are equal.
    """
    if isinstance(names, (str, os.PathLike)):
        try:
            lines = read_text(names).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"class names must be a list or a UTF-8 text file. '{names}': {error}."
            ) from error
        listed, origin = tuple(line.strip() for line in lines if line.strip()), f"'{os.fspath(names)}'"
    else:
        listed, origin = tuple(str(name) for name in names), "the class list"
    if not listed:
        raise DataError(f"class names must not be empty. {origin} has none.")
    refuse_duplicates(listed, origin)
    return listed


def resolve(
    source: LabelledPictures,
    *,
    classes: Sequence[str] | None = None,
    mapping: Mapping[str, str | None] | None = None,
    classnames: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    half: str | None = None,
    half_order: str = "list",
    shared: bool = False,
) -> Resolved:
    """Brings a source's labels into the training label space.

    Integer labels count in the source's class list. Where it has none, they are names if all are among
    `classnames`, or if there is a map; else they count in `classnames`.

    Args:
        source: pictures and labels.
        classes: the source's class list, in place of its own.
        mapping: source class to training class, many to one; to None drops the class; others keep their name.
        classnames: the training classes, already renamed; None takes the source's, mapped and renamed.
        rename: class name to another one, after `mapping`; names that do not occur are ignored here.
        half: "base" or "novel" keeps that half of the source's classes, mapped; None keeps all.
        half_order: list or names; in "names" capitals come before small letters.
        shared: whether classes that `classnames` lacks are left out; else they are an error.

    Raises:
        ConfigError: the map names a class that the source lacks, or `half` has no class list to halve.
        DataError: a label is missing or outside the class list, two class names are equal, or `classnames`
            lacks a class that has pictures.
    """
    own = classes if classes is not None else source.classnames
    if own is not None:
        _refuse_repeated(own, source.name)
    names = _named(source, own, training=None if mapping else classnames)
    listed = sorted(set(names), key=_natural) if own is None else own
    mapping = _in_their_spelling(mapping or {}, listed, source.name)
    target: dict[str, str | None] = {theirs: mapping.get(theirs, theirs) for theirs in listed}
    given = tuple(dict.fromkeys(name for name in target.values() if name is not None))
    if half is not None:  # by the names that the source gives: data.rename moves no class to the other half
        kept = {theirs: None if name is None else spoken(name) for theirs, name in target.items()}
        kept = _halved(kept, half, source.name, order=half_order, is_whole=own is not None)
        target = {theirs: name if kept[theirs] is not None else None for theirs, name in target.items()}
    final = _final_names(given, rename or {}, source.name)
    target = {theirs: None if name is None else final[name] for theirs, name in target.items()}
    candidates = source.candidates
    if classnames is None:
        training = tuple(dict.fromkeys(name for name in target.values() if name is not None))
    else:
        training = tuple(spoken(name) for name in classnames)
        refuse_duplicates(training, "the list of training classes")
    spelling = {name_key(name): name for name in training}
    target = {
        theirs: None if name is None else spelling.get(name_key(name), name)
        for theirs, name in target.items()
    }
    if candidates is not None:
        candidates = {
            theirs: [spelling.get(name_key(name), name) for name in renamed(others, rename or {})]
            for theirs, others in candidates.items()
        }
    if classnames is not None:
        target |= _by_another_name(candidates or {}, target, frozenset(training), mapped=mapping.keys())
        if shared:
            target |= {theirs: None for theirs, ours in target.items() if ours not in training}
        _refuse_strangers(names, target, training, source.name, mapped=mapping.keys())
    index = {name: number for number, name in enumerate(training)}
    wanted = [target[name] for name in names]
    rows = [row for row, name in enumerate(wanted) if name is not None]
    numbers = [index[name] for name in wanted if name is not None]
    return Resolved(
        training,
        given,
        torch.tensor(numbers, dtype=torch.int64),
        torch.tensor(rows, dtype=torch.int64),
        None if candidates is None else _columns(candidates, target, index),
    )


def refuse_duplicates(names: Sequence[str], origin: str) -> None:
    """Raises DataError where two names are equal by `name_key`; `origin` says whose names they are."""
    twice = [spellings(group) for group in equal_names(names)]
    if twice:
        raise DataError(
            f"class names must differ. {origin} repeats {_some(twice)}. Case, underscores and extra spaces do not "
            "count. Rename all but one of each."
        )


def renamed(names: Iterable[str], rename: Mapping[str, str]) -> list[str]:
    """Class names as prompts have them, under the names that `data.rename` gives; keys match by `name_key`."""
    new_of = {name_key(old): new for old, new in rename.items()}
    return [spoken(new_of.get(name_key(name), name)) for name in names]


def _final_names(given: Sequence[str], rename: Mapping[str, str], source: str) -> dict[str, str]:
    """Each given name's name in prompts; no two may be equal there."""
    final = dict(zip(given, renamed(given, rename), strict=True))
    keys = collections.defaultdict(list)
    for name, new in final.items():
        keys[name_key(new)].append(name)
    equal = [group for group in keys.values() if len(group) > 1]
    if equal:
        first = equal[0]
        joining = ", ".join(f"{name!r}: {final[first[0]]!r}" for name in first)
        raise DataError(
            f"class names must differ. In '{source}' these are equal: "
            f"{_some([spellings(group) for group in equal])}. Case, underscores and extra spaces do not count, and "
            f"data.rename is applied. If they are one class, join them with labels: {{{joining}}}; otherwise give "
            "all but one another name."
        )
    return final


def _refuse_repeated(names: Sequence[str], source: str) -> None:
    twice = [repr(name) for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"class names must differ. the class list of '{source}' repeats {_some(twice)}. Rename all but one of "
            "each."
        )


def _by_another_name(
    candidates: Mapping[str, Sequence[str]],
    target: Mapping[str, str | None],
    training: frozenset[str],
    *,
    mapped: Iterable[str],
) -> dict[str, str]:
    """The classes that training knows only by another of their names, and that name."""
    return {
        theirs: next(name for name in names if name in training)
        for theirs, names in candidates.items()
        if target.get(theirs) not in (None, *training)
        and theirs not in mapped
        and not training.isdisjoint(names)
    }


def _columns(
    candidates: Mapping[str, Sequence[str]], target: Mapping[str, str | None], index: Mapping[str, int]
) -> Tensor | None:
    """The training classes that each class of the source goes by, one row a class, filled by repeating."""
    rows: dict[int, list[int]] = {}
    for theirs, names in candidates.items():
        ours = target.get(theirs)
        if ours is None:  # left out by the map, or by the class list that the user gave
            continue
        known = list(dict.fromkeys(index[name] for name in (ours, *names) if name in index))
        if known:  # two classes that are mapped to one training class are one
            rows.setdefault(known[0], []).extend(known)
    if len(rows) == len(index):
        return None
    widest = max((len(row) for row in rows.values()), default=0)
    filled = [row + row[:1] * (widest - len(row)) for row in rows.values()]
    return torch.tensor(filled, dtype=torch.int64).reshape(len(rows), widest)


def _named(
    source: LabelledPictures, own: Sequence[str] | None, *, training: Sequence[str] | None
) -> list[str]:
    """Labels as names; `training` is None where integers must not count in the training classes."""
    absent = [source.pictures.where(row) for row, label in enumerate(source.labels) if label in (None, "")]
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
    numbers = [int(label) for label in labels]
    outside = collections.Counter(str(number) for number in numbers if not 0 <= number < len(listed))
    if outside:
        raise DataError(
            f"integer labels must lie in [0, {len(listed) - 1}], the class list. '{name}' also has "
            f"{_counted(outside)}. Correct the labels, or give the whole list as `classes`."
        )
    return [listed[number] for number in numbers]


def _listed(labels: Sequence[str | int], listed: Sequence[str], name: str) -> list[str]:
    spelling = {name_key(theirs): theirs for theirs in listed} | {theirs: theirs for theirs in listed}
    names = [str(label) for label in labels]
    found = [spelling.get(label, spelling.get(name_key(label))) for label in names]
    outside = collections.Counter(label for label, own in zip(names, found, strict=True) if own is None)
    if outside:
        raise DataError(
            f"labels must be in the class list of {len(listed)}. '{name}' also has {_counted(outside)}. "
            "Correct the labels or `classes`."
        )
    return [own for own in found if own is not None]


def _in_their_spelling(
    mapping: Mapping[str, str | None], own: Sequence[str], name: str
) -> dict[str, str | None]:
    """The map with its keys as the source spells them: an exact one first, else one that is equal by `name_key`."""
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


def _halved(
    target: Mapping[str, str | None], half: str, name: str, *, order: str, is_whole: bool
) -> dict[str, str | None]:
    """The map with the other half's classes left out; base is the first half, and the larger one, as in CoOp."""
    if not is_whole:
        # From the rows alone, a set that lacks a class would be halved elsewhere than the others.
        raise ConfigError(f"half needs the whole class list. '{name}' has none. Give it as classes: [...].")
    ours = list(dict.fromkeys(name for name in target.values() if name is not None))
    if len(ours) < 2:
        raise ConfigError(f"half needs at least two classes. '{name}' has {len(ours)}. Leave half out.")
    if order == "names":
        ours.sort()
    middle = (len(ours) + 1) // 2
    kept = set(ours[:middle] if half == "base" else ours[middle:])
    return {theirs: our if our in kept else None for theirs, our in target.items()}


def _refuse_strangers(
    names: Sequence[str],
    target: Mapping[str, str | None],
    training: tuple[str, ...],
    name: str,
    *,
    mapped: Iterable[str],
) -> None:
    known = {None, *training}
    strangers = collections.Counter(label for label in names if target[label] not in known)
    if strangers:
        first = min(strangers)
        shown = {
            f"{label}, mapped to {target[label]}" if label in mapped else label: count
            for label, count in strangers.items()
        }
        raise DataError(
            f"the classes of '{name}' must be among the {len(training)} training classes: those of data.classnames, "
            f"else those of data.train. {_counted(shown)} are not. To leave them out, add `shared: true` to the "
            f"source. For a training class under another name, add a map: labels: {{{first}: {training[0]}}}; or "
            f"rename it in every set: data: {{rename: {{{first}: {training[0]}}}}}."
            f"{did_you_mean(str(target[first]), training)}"
        )


def _counted(strangers: Mapping[str, int]) -> str:
    named = [f"{name!r} ({count} pictures)" for name, count in sorted(strangers.items())]
    return _some(named)


def _some(items: Sequence[str]) -> str:
    """How many, and the first three."""
    return f"{len(items)}: {', '.join(items[:3])}" + (" ..." if len(items) > 3 else "")


def _natural(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (0, name)
