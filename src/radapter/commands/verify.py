"""`radapter verify`: whether what radapter wrote is still as it was, and what can be done with it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands.compare import COMPARISON
from radapter.commands.terminal import say
from radapter.comparison.chosen import CHOSEN, Chosen
from radapter.config import load_stored
from radapter.data.regions import NOUNS
from radapter.data.shards import SIZES, read_shards
from radapter.errors import DamagedError, RAdapterError, RunError
from radapter.manifests import MANIFEST, Checked, check_finished, compared, hashes_of, recorded
from radapter.models import fingerprint, load
from radapter.models.certificate import CERTIFICATE
from radapter.report.table import framed
from radapter.runs.directory import CHECKPOINTS, CONFIG
from radapter.runs.inputs import INPUTS, Inputs
from radapter.runs.results import RESULTS, Results
from radapter.runs.weights import TRAINED, read_about
from radapter.search import read_index
from radapter.storage import read_json

_STYLES = {"whole": "green", "damaged": "bold red", "missing": "bold red", "not recorded": "dim"}


@dataclass
class Report:
    """What became of a folder or an index.

    Attributes:
        kind: what it is.
        path: where.
        files: of it, each compared with its record.
        facts: further lines, by what they are of: "base model", "resume".
    """

    kind: str
    path: Path
    files: dict[Path, Checked] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether no file is damaged or missing."""
        return all(found.state in ("whole", "not recorded") for found in self.files.values())

    def read(self, file: Path, work: Callable[[], object]) -> None:
        """Reads a file that is there; what is wrong with it, beyond its hash, becomes its reason."""
        before = self.files.get(file)
        if before is None or before.state in ("damaged", "missing"):
            return
        try:
            work()
        except DamagedError as error:
            self.files[file] = Checked(file, "damaged", str(error))
        except RAdapterError as error:
            self.files[file] = Checked(file, before.state, str(error))


def verify(path: Path, *, as_json: bool = False) -> bool:
    """Prints the state of every file, and for a run what a resume would do and whether its base model is there.

    Returns:
        Whether no file is damaged or missing.

    Raises:
        RunError: `path` is nothing that radapter wrote.
    """
    report = Report(_kind(path), path)
    if path.is_file():
        report.files[path] = Checked(path, "whole")
        report.read(path, lambda: read_index(path))
        if report.files[path].reason:
            report.files[path] = Checked(path, "damaged", report.files[path].reason)
    else:
        report.files |= {found.file: found for found in _files(path)}
        _ABOUT[report.kind](report)
    _print_json(report) if as_json else _print(report)
    return report.is_whole


def _kind(path: Path) -> str:
    """What a path is, told by the files that only this kind has."""
    if path.is_file() and path.suffix == ".safetensors":
        return "index"
    for kind, name in _MARKS.items():
        if (path / name).is_file():
            return kind
    raise RunError(
        "verify needs a run, a comparison, a merged folder, shards, mined regions or a search index. "
        f"'{path}' is none: it has none of {', '.join(dict.fromkeys(_MARKS.values()))}. Give another path."
    )


def _files(root: Path) -> Iterator[Checked]:
    """Every file below a folder that is not hidden, compared with the record that is nearest above it."""
    found: dict[Path, Checked] = {}
    for record, hashes_in in _RECORDS.items():
        for file in sorted(root.rglob(record)):
            if record == CERTIFICATE and (file.parent / MANIFEST).is_file():
                continue
            try:
                hashes = hashes_in(file)
            except RAdapterError as error:
                found[file] = Checked(file, "damaged", str(error))
            else:
                found |= {checked.file: checked for checked in compared(file.parent, hashes, record)}
    for file in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        if file.is_file() and not hidden and file.name != MANIFEST:
            found.setdefault(file, Checked(file, "not recorded"))
    yield from (found[file] for file in sorted(found))


def _hashes_of_shards(file: Path) -> dict[str, str]:
    content = read_json(file)
    written = content.get("written") if isinstance(content, dict) else None
    if isinstance(written, dict) and "sha256" not in written:  # of an older radapter
        return {}
    return hashes_of(written, file)


def _about_run(report: Report) -> None:
    run = report.path
    report.read(run / CONFIG, lambda: load_stored(run / CONFIG))
    report.read(run / TRAINED, lambda: read_about(run))
    report.read(run / RESULTS, lambda: Results.read(run))
    report.read(run / INPUTS, lambda: Inputs.read(run))
    report.facts["resume"] = _resume(run)
    try:
        inputs = Inputs.read(run)
        if (run / TRAINED).is_file():
            known = read_about(run)["fingerprint"]
        else:
            known = inputs.base_model if inputs else None
        report.facts["base model"] = _base_model(load_stored(run / CONFIG).model, known)
    except RAdapterError as error:
        report.facts["base model"] = f"unknown: {error}"


def _resume(run: Path) -> str:
    """What `radapter train --resume` would do with a run."""
    if (run / RESULTS).is_file():
        return f"the run is finished: --resume reads {RESULTS} and trains nothing"
    damaged = 0
    for folder in sorted((run / CHECKPOINTS).rglob("step-" + "[0-9]" * 8), reverse=True):
        try:
            check_finished(folder)
        except RAdapterError:
            damaged += 1
            continue
        stage = folder.parent.relative_to(run / CHECKPOINTS)
        of = "" if stage == Path() else f" of the stage '{stage}'"
        return f"--resume goes on from step {int(folder.name.removeprefix('step-'))}{of}, {folder}"
    return f"no whole checkpoint is there, {damaged} are damaged" if damaged else "no checkpoint is there"


def _base_model(name: str, recorded_as: str | None) -> str:
    """Whether a base model is there and is the one that was trained on."""
    try:
        found = fingerprint(load(name))
    except RAdapterError as error:
        return f"{name} cannot be loaded: {error}"
    if recorded_as is None:
        return f"{name} is there, fingerprint {found[:12]}; the run records none yet"
    if found != recorded_as:
        return f"{name} is another model: fingerprint {found[:12]}, the run was trained on {recorded_as[:12]}"
    return f"{name} is there, and has the recorded fingerprint {found[:12]}"


def _about_comparison(report: Report) -> None:
    folder = report.path
    report.read(folder / CHOSEN, lambda: Chosen.read(folder))
    report.read(folder / RESULTS, lambda: Results.read(folder))
    trainings = [found for found in report.files if found.name == TRAINED]
    for file in trainings:
        report.read(file, lambda file=file: read_about(file.parent))  # type: ignore[misc]
    if not (folder / CHOSEN).is_file():
        report.facts["resume"] = "not finished: the same 'radapter compare' goes on"
        return
    report.facts["resume"] = "finished"
    try:
        known = read_about(trainings[0].parent)["fingerprint"] if trainings else None
        report.facts["base model"] = _base_model(Chosen.read(folder).model, known)
    except RAdapterError as error:
        report.facts["base model"] = f"unknown: {error}"


def _about_shards(report: Report) -> None:
    sizes = report.path / SIZES
    report.read(sizes, lambda: read_shards(report.path, unlisted=True))
    if not report.files[sizes].reason:
        found = read_shards(report.path, unlisted=True)
        report.facts["samples"] = f"{len(found)} in {len(found.counts)} shards" + (
            "" if found.is_complete else f"; {found.items} of {found.of} items: the same command goes on"
        )


def _nothing(report: Report) -> None:
    """A merged folder says all in its files."""


_MARKS = {
    "comparison": COMPARISON,
    "run": CONFIG,
    "mined regions": NOUNS,
    "shards": SIZES,
    "merged model": CERTIFICATE,
}
_ABOUT = {
    "comparison": _about_comparison,
    "run": _about_run,
    "mined regions": _about_shards,
    "shards": _about_shards,
    "merged model": _nothing,
}
_RECORDS: dict[str, Callable[[Path], dict[str, str]]] = {
    MANIFEST: lambda file: recorded(file.parent),
    SIZES: _hashes_of_shards,
    CERTIFICATE: lambda file: hashes_of(read_json(file), file),
}


def _print(report: Report) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for header in ("File", "State", "Why"):
        table.add_column(header, overflow="fold")
    for found in report.files.values():
        name = found.file.name if found.file == report.path else str(found.file.relative_to(report.path))
        table.add_row(Text(name), Text(found.state, style=_STYLES[found.state]), Text(found.reason))
    Console().print(framed(table, title=f"{report.kind}: {report.path}"))
    for fact, text in report.facts.items():
        say(f"{fact[:1].upper()}{fact[1:]}: {text}.")
    states = [found.state for found in report.files.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _STYLES if state in states)
    say(
        f"{'Whole' if report.is_whole else 'Not whole'}: {counts}.",
        style="" if report.is_whole else "bold red",
    )


def _print_json(report: Report) -> None:
    files = [
        {"file": str(found.file), "state": found.state, "reason": found.reason}
        for found in report.files.values()
    ]
    about = {"kind": report.kind, "path": str(report.path), "whole": report.is_whole}
    facts = {fact.replace(" ", "_"): text for fact, text in report.facts.items()}
    print(json.dumps({**about, **facts, "files": files}, indent=2, ensure_ascii=False))
