"""`radapter data check`: what a data set holds, whether a run would take it, and how run.yaml would name it."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console

from radapter.commands.class_texts import report_spelling
from radapter.commands.evaluate import parsed
from radapter.commands.facts import decoded_in_words, facts_table, sizes_in_words
from radapter.commands.mask_check import is_masked, mask_check
from radapter.commands.pair_check import advising, is_paired, of_path, pair_check
from radapter.commands.sets import in_flow, set_in_words
from radapter.commands.terminal import say
from radapter.data import MAX_BAD, ClassificationSet, PairSet, open_classification
from radapter.data.dividing import CUTS, divided, siblings_of, split_folders, splits_of
from radapter.data.labelled.checking import SAMPLE, Findings, look_at
from radapter.data.labelled.class_folders import folders_in, passed_over, suffixes_in_words
from radapter.data.labelled.kinds import labelled_source
from radapter.data.labelled.layouts import LAYOUTS
from radapter.data.masks.checking import MaskFindings
from radapter.data.masks.layouts import LAYOUTS as MASK_LAYOUTS
from radapter.data.pairs.kinds import pair_source
from radapter.data.paths import place
from radapter.data.pictures.bad_images import SHOWN
from radapter.data.shards import read_shards
from radapter.data.shards.exporting import LABELLED
from radapter.data.shards.stream import open_labelled_stream, open_pair_stream
from radapter.data.source import Reading
from radapter.data.splits import in_part
from radapter.data.text_tables import separator_of
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.evaluation import TaskName
from radapter.progress import counting

_SHOWN = 3
_DEEPEST = 3  # where class folders of a layout may lie, as in CORRUPTION/SEVERITY/ID
_COPY = {"corrupt": "id_test"}
Spec = dict[str, Any]


def data_check(
    source: str,
    settings: Sequence[str] = (),
    *,
    task: TaskName | None = None,
    layout: str | None = None,
    whole: bool = False,
    allow_download: bool = False,
) -> Findings | MaskFindings | PairSet:
    """Opens a source as a run would and prints what it holds; of a stream all its shards are listed.

    Raises:
        InputError: the source cannot be opened, or more pictures cannot be read than a run accepts.
    """
    told = _spec(source, settings, layout, task)
    spec = _listed(told) if "stream" in told else told
    task_told = task or _task_of(spec)
    if task_told == "segmentation":
        masked = mask_check(spec, whole=whole)
        trained_on = spec.get("split") == "train" or spec.get("world") == "train"
        _propose(
            _section({"train": {"from_masks": spec}} if trained_on else {"id_test": spec}, "segmentation")
        )
        return masked
    if task_told == "retrieval":
        pairs = pair_check(spec, whole=whole, allow_download=allow_download)
        _propose(_section(_streamed(told) or _uncut(spec), "retrieval"))
        return pairs
    sets = divided(spec, labelled=True) if splits_of(spec, labelled=True) else {}
    if sets:
        return _splits_check(spec, sets, whole=whole, allow_download=allow_download)
    with advising(task):
        dataset, found = _examined(spec, whole=whole, allow_download=allow_download)
    section = _section(_streamed(told)) if "stream" in told else snippet(spec, dataset)
    if "stream" not in told and _is_to_cut(spec, dataset):
        report_parts(dataset)
        section += f"\n{_in_one_line(spec)}"
    _propose(section)
    return found


def _examined(
    spec: Spec,
    *,
    whole: bool,
    allow_download: bool,
    name: str | None = None,
    classnames: Sequence[str] | None = None,
) -> tuple[ClassificationSet, Findings]:
    """Opens labelled images, prints what they hold, and refuses them where a run would."""
    with counting() as bar:
        dataset = open_classification(
            spec,
            classnames=classnames,
            name=name,
            reading=Reading(max_bad=1.0, allow_download=allow_download, progress=bar("hashing")),
        )
        found = look_at(dataset, sample=None if whole else SAMPLE, progress=bar("decoding"))
    expected = LAYOUTS[spec["layout"]].classes if "layout" in spec else None
    Console().print(facts_table(dataset.name, [*_facts(dataset, found, expected), *_how_it_was_read(spec)]))
    _problems(found)
    if name in (None, "train"):
        report_class_names(dataset)
    if len(found.unreadable) > MAX_BAD * found.decoded:
        raise DataError(
            f"at most {MAX_BAD:.2%} of the pictures may be unreadable (data.max_bad). Of the {found.decoded:,} "
            f"decoded in '{dataset.name}' {len(found.unreadable):,} are. Repair them, or raise data.max_bad."
        )
    return dataset, found


def _splits_check(spec: Spec, sets: Mapping[str, Spec], *, whole: bool, allow_download: bool) -> Findings:
    """Prints what each split of a source holds, and the lines that use them; gives what training holds."""
    found: dict[str, Findings] = {}
    names: Sequence[str] | None = None
    for role, of in sets.items():
        dataset, found[role] = _examined(
            of, whole=whole, allow_download=allow_download, name=role, classnames=names
        )
        names = dataset.classnames
    say("This source has splits:")
    for role, of in sets.items():
        say(f"  {role}: {set_in_words(found[role].per_class)}, from {in_flow(of)}")
    if isinstance(spec.get("folder"), str):
        folder = place(spec["folder"])
        others = sorted({*folders_in(folder)} - set(split_folders(folder).values()))
        if others:
            say(f"Not a split: {_some(others)}. For a shifted test set, add it under data.ood.")
    _propose(f"{_section(_with_copy(sets))}\n{_in_one_line(spec)}")
    return found["train"]


def report_parts(dataset: ClassificationSet) -> None:
    """Prints how many images of how many classes each proposed part of a set has."""
    say("Cut by content:")
    for role, (low, high) in CUTS.items():
        counts = dataset.labels[in_part(dataset.keys, low, high)].bincount(minlength=len(dataset.classnames))
        say(f"  {role}: {set_in_words(dict(zip(dataset.classnames, counts.tolist(), strict=True)))}")


def _is_to_cut(spec: Mapping[str, Any], dataset: ClassificationSet) -> bool:
    """Whether what is proposed are parts of this very source."""
    is_layout_of_its_own = "layout" in spec and (
        LAYOUTS[spec["layout"]].shifted or len(dataset.groupnames) > 1
    )
    is_sibling = isinstance(spec.get("folder"), str) and bool(siblings_of(spec["folder"]))
    return not (_is_cut(spec) or is_layout_of_its_own or is_sibling)


def snippet(spec: Mapping[str, Any], dataset: ClassificationSet) -> str:
    """The `data` section of a run.yaml that uses a source: as a shifted test set, by domain, or cut into parts."""
    layout = LAYOUTS[spec["layout"]] if "layout" in spec else None
    if layout is not None and layout.shifted:
        return _section({"ood": {spec["layout"]: dict(spec)}})
    undivided = not {"domain", "leave_out"} & spec.keys() and len(dataset.groupnames) > 1
    if layout is not None and "domain" in layout.options and undivided:
        left_out = dataset.groupnames[-1]
        others = {**spec, "leave_out": left_out}
        return _section({**divided(others), "ood": {left_out: {**spec, "domain": left_out}}})
    return _section(_uncut(spec))


def report_class_names(dataset: ClassificationSet) -> None:
    """Prints what becomes of class names, and warns of a single class."""
    report_spelling(dataset.given_names)
    for note in dataset.notes:
        say(note)
    if len(dataset.classnames) == 1:
        say(
            f"There is one class, '{dataset.classnames[0]}', so there is nothing to tell apart. Add other classes "
            "before you train.",
            "yellow",
        )


def _task_of(spec: Spec) -> TaskName:
    if is_masked(spec):
        return "segmentation"
    return "retrieval" if is_paired(spec) else "classification"


def _listed(stream: Spec) -> Spec:
    """The shards of a stream, as a source that is listed when it is opened.

    Raises:
        InputError: a run would refuse the stream, or its shards hold something else.
    """
    folder = stream["stream"]
    if not isinstance(folder, str):
        raise ConfigError(f"stream must be a folder of shards. Got {folder!r}. Give its path.")
    about = read_shards(place(folder)).about
    if about.get("kind") == LABELLED:
        open_labelled_stream(stream)
        return {"shards": folder}
    open_pair_stream(stream, join=about.get("join_captions", True))
    return {"webdataset": f"{folder}/*.tar"}


def _streamed(spec: Spec) -> Spec:
    return {"train": spec} if "stream" in spec else {}


def _uncut(spec: Mapping[str, Any]) -> Spec:
    if _is_cut(spec):
        return {"id_test": dict(spec)}
    siblings = siblings_of(spec["folder"]) if isinstance(spec.get("folder"), str) else {}
    return _with_copy(
        {role: {**spec, "folder": folder} for role, folder in siblings.items()} or divided(spec)
    )


def _with_copy(sets: Mapping[str, Spec]) -> Spec:
    """Sets and a shifted one, without which `compare` refuses to run: a corrupted copy of the test set."""
    return {**sets, "ood": {"corrupted": _COPY}} if "id_test" in sets else dict(sets)


def _in_one_line(spec: Mapping[str, Any]) -> str:
    return f"# the same in one line: data: {in_flow({**spec, 'ood': {'corrupted': _COPY}})}"


def _is_cut(spec: Mapping[str, Any]) -> bool:
    """Whether a source is a part of a data set already, and not one to train on."""
    cut = {"part", "shots", "corrupt", "domain", "split_list"} & spec.keys()
    return bool(cut) or spec.get("split") in ("val", "validation", "test")


def _propose(section: str) -> None:
    say("\nNext, in run.yaml:\n")
    say(section)


def _spec(source: str, settings: Sequence[str], layout: str | None, task: TaskName | None) -> Spec:
    told = parsed(source)
    if isinstance(told, dict):
        if layout is not None:
            raise ConfigError(f"--layout is for a path. Got it beside the mapping {source}. Leave it out.")
        spec: Spec = dict(told)
    elif layout is not None:
        known = {**LAYOUTS, **MASK_LAYOUTS}
        if layout not in known:
            raise ConfigError(
                f"layout must be one of {', '.join(known)}. Got {layout!r}.{did_you_mean(layout, known)}"
            )
        spec = {"layout": layout, "path": source}
    elif task == "segmentation":
        raise ConfigError(
            "masked images need a mapping such as '{masks: masks, images: images, classes: names.txt}', or a path "
            f"with --layout. Got '{source}'."
        )
    elif task == "retrieval":
        spec = pair_source(source).given()
    else:
        spec = of_path(source) if task is None else labelled_source(source).given()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"settings must be key=value, such as split=val. Got '{setting}'.")
        spec[key] = parsed(value)
    return spec


def _section(roles: Mapping[str, Spec], task: TaskName = "classification") -> str:
    lines = ["data:"] if task == "classification" else [f"task: {task}", "data:"]
    for role, spec in roles.items():
        if role == "ood":
            lines += ["  ood:", *(f"    {name}: {in_flow(of_one)}" for name, of_one in spec.items())]
        else:
            lines.append(f"  {role}: {in_flow(spec)}")
    return "\n".join(lines)


def _facts(dataset: ClassificationSet, found: Findings, expected: int | None) -> list[tuple[str, str]]:
    names, counts = dataset.classnames, list(found.per_class.values())
    few, many = (bound(found.per_class, key=found.per_class.__getitem__) for bound in (min, max))
    rows = [("Classes", f"{len(names):,}: {_some(names)}")]
    if expected is not None and expected != len(names):
        rows.append(("Classes of the whole", f"{expected:,}"))
    rows += [
        ("Images", f"{found.images:,}"),
        (
            "Images per class",
            f"{min(counts):,} each"
            if min(counts) == max(counts)
            else f"from {min(counts):,} ({few}) to {max(counts):,} ({many}), median {median(counts):,g}",
        ),
    ]
    if found.per_group:
        groups = [f"{name} ({count:,})" for name, count in found.per_group.items()]
        rows.append(("Groups", f"{len(groups):,}: {_some(groups, 10)}"))
    rows.append(("Copies", f"{found.copies:,} of {found.images:,}, by content"))
    rows.append(("Decoded", decoded_in_words(found.decoded, found.images)))
    if found.widths is not None and found.heights is not None:
        rows.append(("Size in pixels", sizes_in_words(found.widths, found.heights)))
        formats = sorted(found.formats.items(), key=lambda item: -item[1])
        rows.append(("Formats", ", ".join(f"{name} ({count:,})" for name, count in formats)))
    rows.append(("Unreadable", f"{len(found.unreadable):,}"))
    return rows


def _how_it_was_read(spec: Spec) -> list[tuple[str, str]]:
    """Files that a folder's reader passed over, and how a table is separated, where that is worth a line."""
    folder = spec.get("folder", spec.get("path") if "layout" in spec else None)
    if folder is not None:
        others = passed_over(place(folder), levels=1 if "folder" in spec else _DEEPEST)
        return [("Passed over, not images", suffixes_in_words(others))] if others else []
    separator = separator_of(place(spec["csv"])) if "csv" in spec else ","
    return [] if separator == "," else [("Separator", repr(separator))]


def _problems(found: Findings) -> None:
    empty = [name for name, count in found.per_class.items() if count == 0]
    if empty:
        say(f"Classes without an image: {len(empty):,}: {_some(empty)}.", "yellow")
    if found.copy_pairs:
        shown = _some([f"{copy} is {first}" for copy, first in found.copy_pairs])
        say(f"Copies, which fall on one side of every part: {shown}.", "yellow")
    if found.torn:
        shown = _some([f"{copy} and {first}" for copy, first in found.torn])
        say(f"Copies with two different classes: {len(found.torn):,}: {shown}.", "yellow")
    for message in found.unreadable[:SHOWN]:
        say(message, "yellow")
    if len(found.unreadable) > SHOWN:
        say(f"{len(found.unreadable) - SHOWN:,} more cannot be read.", "yellow")


def _some(names: Sequence[str], count: int = _SHOWN) -> str:
    return ", ".join(names[:count]) + (" ..." if len(names) > count else "")
