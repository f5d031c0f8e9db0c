"""`radapter data check` of labelled images: classes, images, copies, damage."""

from collections.abc import Mapping, Sequence
from statistics import median

from radapter.commands import facts
from radapter.commands.facts import report_spelling
from radapter.commands.terminal import say
from radapter.data import ClassificationSet, open_classification
from radapter.data.dividing import CUTS, divided, siblings_of, split_folders, splits_of
from radapter.data.images.bad_images import SHOWN
from radapter.data.labelled.checking import SAMPLE, Findings, look_at
from radapter.data.labelled.class_folders import folders_in, passed_over, suffixes_in_words
from radapter.data.labelled.layouts import LAYOUTS
from radapter.data.paths import place
from radapter.data.source import Reading
from radapter.data.splits import in_part
from radapter.data.text_tables import separator_of
from radapter.errors import listed
from radapter.operations.sets import in_flow, set_in_words
from radapter.operations.task import Spec
from radapter.progress import counting

_DEEPEST = 3  # levels of class folders in a layout, as in CORRUPTION/SEVERITY/ID


def label_check(
    spec: Spec, *, stream: Spec | None = None, whole: bool = False, allow_download: bool = False
) -> Findings:
    """Open labelled images as a run would, print what they hold, and propose the lines of run.yaml."""
    sets = divided(spec, labelled=True) if splits_of(spec, labelled=True) else {}
    if sets:
        return _splits_check(spec, sets, whole=whole, allow_download=allow_download)
    dataset, found = _examined(spec, whole=whole, allow_download=allow_download)
    if stream is not None:
        facts.propose({"train": stream})
        return found
    roles, more = _roles(spec, dataset), ""
    if _is_to_cut(spec, dataset):
        say("Split by content:")
        for role, (low, high) in CUTS.items():
            say(f"  {role}: {set_in_words(dataset, in_part(dataset.keys, low, high))}")
        more = _in_one_line(spec)
    facts.propose(roles, more=more)
    return found


def _examined(
    spec: Spec,
    *,
    whole: bool,
    allow_download: bool,
    name: str | None = None,
    classnames: Sequence[str] | None = None,
) -> tuple[ClassificationSet, Findings]:
    """Opens labelled images, prints what they hold, and refuses them if a run would."""
    with counting() as bar:
        reading = Reading(max_bad=1.0, allow_download=allow_download, progress=bar("hashing"))
        dataset = open_classification(spec, classnames=classnames, name=name, reading=reading)
        found = look_at(dataset, sample=None if whole else SAMPLE, progress=bar("decoding"))
    expected = LAYOUTS[spec["layout"]].classes if "layout" in spec else None
    facts.print_facts(dataset.name, [*_facts(dataset, found, expected), *_how_it_was_read(spec)])
    _report_problems(found)
    if name in (None, "train"):
        _report_class_names(dataset)
    facts.check_damage(dataset.name, len(found.unreadable), found.decoded)
    return dataset, found


def _splits_check(spec: Spec, sets: Mapping[str, Spec], *, whole: bool, allow_download: bool) -> Findings:
    """Prints what each split of a source holds, and the lines that use them; returns what training holds."""
    opened: dict[str, tuple[ClassificationSet, Findings]] = {}
    names: Sequence[str] | None = None
    for role, of in sets.items():
        opened[role] = _examined(of, whole=whole, allow_download=allow_download, name=role, classnames=names)
        names = opened[role][0].classnames
    say("This source has splits:")
    for role, of in sets.items():
        say(f"  {role}: {set_in_words(opened[role][0])}, from {in_flow(of)}")
    if isinstance(spec.get("folder"), str):
        folder = place(spec["folder"])
        others = sorted({*folders_in(folder)} - set(split_folders(folder).values()))
        if others:
            say(f"Not a split: {listed(others)}. For a shifted test set, add it under data.ood.")
    facts.propose(facts.with_copy(sets), more=_in_one_line(spec))
    return opened["train"][1]


def _is_to_cut(spec: Spec, dataset: ClassificationSet) -> bool:
    """Whether the proposed sets are parts of this source itself."""
    is_layout_of_its_own = "layout" in spec and (
        LAYOUTS[spec["layout"]].shifted or len(dataset.groupnames) > 1
    )
    is_sibling = isinstance(spec.get("folder"), str) and bool(siblings_of(spec["folder"]))
    return not (facts.is_cut(spec) or is_layout_of_its_own or is_sibling)


def _roles(spec: Spec, dataset: ClassificationSet) -> Spec:
    """The proposed sets: the source as a shifted test set, divided by domain, or cut into parts."""
    layout = LAYOUTS[spec["layout"]] if "layout" in spec else None
    if layout is not None and layout.shifted:
        return {"ood": {spec["layout"]: dict(spec)}}
    undivided = not {"domain", "leave_out"} & spec.keys() and len(dataset.groupnames) > 1
    if layout is not None and "domain" in layout.options and undivided:
        left_out = dataset.groupnames[-1]
        return {**divided({**spec, "leave_out": left_out}), "ood": {left_out: {**spec, "domain": left_out}}}
    return facts.uncut(spec)


def _report_class_names(dataset: ClassificationSet) -> None:
    report_spelling(dataset.given_names)
    for note in dataset.notes:
        say(note)
    if len(dataset.classnames) == 1:
        say(
            f"There is one class, '{dataset.classnames[0]}', so there is nothing to tell apart. Add other classes "
            "before you train.",
            "yellow",
        )


def _in_one_line(spec: Spec) -> str:
    return f"\n# the same in one line:\n# data: {in_flow({**spec, 'ood': {'corrupted': facts.COPY}})}"


def _facts(dataset: ClassificationSet, found: Findings, expected: int | None) -> list[tuple[str, str]]:
    names, counts = dataset.classnames, list(found.per_class.values())
    few, many = (bound(found.per_class, key=found.per_class.__getitem__) for bound in (min, max))
    per_class = f"{min(counts):,} each"
    if min(counts) != max(counts):
        per_class = f"from {min(counts):,} ({few}) to {max(counts):,} ({many}), median {median(counts):,g}"
    rows = [("Classes", f"{len(names):,}: {listed(names)}")]
    if expected is not None and expected != len(names):
        rows.append(("Classes of the whole", f"{expected:,}"))
    rows += [("Images", f"{found.images:,}"), ("Images per class", per_class)]
    if found.per_group:
        groups = [f"{name} ({count:,})" for name, count in found.per_group.items()]
        rows.append(("Groups", f"{len(groups):,}: {listed(groups, 10)}"))
    rows.append(("Duplicates", f"{found.copies:,} of {found.images:,}, by content"))
    rows.append(("Decoded", facts.decoded_in_words(found.decoded, found.images)))
    if found.widths is not None and found.heights is not None:
        rows.append(("Size in pixels", facts.sizes_in_words(found.widths, found.heights)))
        formats = sorted(found.formats.items(), key=lambda item: -item[1])
        rows.append(("Formats", ", ".join(f"{name} ({count:,})" for name, count in formats)))
    return [*rows, ("Unreadable", f"{len(found.unreadable):,}")]


def _how_it_was_read(spec: Spec) -> list[tuple[str, str]]:
    """Files in a folder that are no images, and an unusual separator of a table."""
    folder = spec.get("folder", spec.get("path") if "layout" in spec else None)
    if folder is not None:
        others = passed_over(place(folder), levels=1 if "folder" in spec else _DEEPEST)
        return [("Passed over, not images", suffixes_in_words(others))] if others else []
    separator = separator_of(place(spec["csv"])) if "csv" in spec else ","
    return [] if separator == "," else [("Separator", repr(separator))]


def _report_problems(found: Findings) -> None:
    empty = [name for name, count in found.per_class.items() if count == 0]
    if empty:
        say(f"Classes without an image: {len(empty):,}: {listed(empty)}.", "yellow")
    if found.copy_pairs:
        shown = listed([f"{copy} is {first}" for copy, first in found.copy_pairs])
        say(f"Duplicates, which fall on one side of every part: {shown}.", "yellow")
    if found.torn:
        shown = listed([f"{copy} and {first}" for copy, first in found.torn])
        say(f"Duplicates with two different classes: {len(found.torn):,}: {shown}.", "yellow")
    for message in found.unreadable[:SHOWN]:
        say(message, "yellow")
    if len(found.unreadable) > SHOWN:
        say(f"{len(found.unreadable) - SHOWN:,} more cannot be read.", "yellow")
