"""`radapter verify`: whether what radapter wrote is unchanged, and what can be done with it."""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from radapter.commands.terminal import free, next_steps, plain_table, say
from radapter.comparison.chosen import CHOSEN, COMPARISON, Chosen
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
_KINDS = {
    "comparison": (COMPARISON, "radapter merge {path} --method METHOD --out {merged}"),
    "run": (CONFIG, "radapter sweep {path}"),
    "mined regions": (NOUNS, "data: {{train: {{mined: {path}}}}} in a run.yaml of segmentation"),
    "shards": (SIZES, "radapter data check '{{stream: {path}}}'"),
    "merged model": (CERTIFICATE, "radapter evaluate {path} --data SOURCE"),
}
"""For each kind, the file that only this kind has, and what to do with it."""
_SEARCH = "radapter search MODEL 'a red car' --data FOLDER --index {path}"


@dataclass
class Report:
    """The state of a folder or an index: each file compared with its record, and facts by their names."""

    kind: str
    path: Path
    files: dict[Path, Checked] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    is_finished: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether no file is damaged or missing."""
        return all(found.state in ("whole", "not recorded") for found in self.files.values())


def verify(path: Path, *, as_json: bool = False) -> bool:
    """Prints the state of every file, and for a run what a resume would do and whether its base model is there.

    Returns whether no file is damaged or missing. Raises RunError if radapter did not write `path`.
    """
    report = Report(_kind(path), path)
    if path.is_file():
        found = _read(Checked(path, "whole"), read_index)
        report.files[path] = Checked(path, "damaged", found.reason) if found.reason else found
    else:
        for found in _files(path):
            reader = _READERS.get(found.file.name)
            is_own = found.file.parent == path or found.file.name == TRAINED
            report.files[found.file] = _read(found, reader) if reader and is_own else found
        match report.kind:
            case "comparison":
                _add_comparison(report)
            case "run":
                _add_run(report)
            case "mined regions" | "shards":
                _add_shards(report)
    _print_json(report) if as_json else _print(report)
    return report.is_whole


def _read(found: Checked, reader: Callable[[Path], object]) -> Checked:
    """Reads a file whose hash is right; the reader's error becomes its reason."""
    if found.state in ("damaged", "missing"):
        return found
    try:
        reader(found.file)
    except RAdapterError as error:
        is_damage = isinstance(error, DamagedError)
        return Checked(found.file, "damaged" if is_damage else found.state, str(error))
    return found


def _kind(path: Path) -> str:
    if path.is_file() and path.suffix == ".safetensors":
        return "index"
    for kind, (name, _) in _KINDS.items():
        if (path / name).is_file():
            return kind
    raise RunError(
        "verify needs a run, a comparison, a merged folder, shards, mined regions or a search index. "
        f"'{path}' is none: it has none of {', '.join(name for name, _ in _KINDS.values())}. Give another path."
    )


def _files(root: Path) -> Iterator[Checked]:
    """Every file below a folder that is not hidden, compared with the nearest record above it."""
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
    if isinstance(written, dict) and "sha256" not in written:  # from an older radapter
        return {}
    return hashes_of(written, file)


def _add_run(report: Report) -> None:
    run = report.path
    report.is_finished = (run / RESULTS).is_file()
    report.facts["resume"] = _resume(run)

    def base() -> tuple[str, str | None]:
        inputs = Inputs.read(run)
        known = None if inputs is None else inputs.base_model
        known = read_about(run)["fingerprint"] if (run / TRAINED).is_file() else known
        return load_stored(run / CONFIG).model, known

    report.facts["base model"] = _base_model(base)


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
        return f"--resume continues from step {int(folder.name.removeprefix('step-'))}{of}, {folder}"
    return f"no whole checkpoint is there, {damaged} are damaged" if damaged else "no checkpoint is there"


def _base_model(base: Callable[[], tuple[str, str | None]]) -> str:
    """Whether a base model is there and is the one that was trained on; `base` gives its name and fingerprint."""
    try:
        name, known = base()
    except RAdapterError as error:
        return f"unknown: {error}"
    try:
        found = fingerprint(load(name))
    except RAdapterError as error:
        return f"{name} cannot be loaded: {error}"
    if known is None:
        return f"{name} is there, fingerprint {found[:12]}; the run records none yet"
    if found != known:
        return f"{name} is another model: fingerprint {found[:12]}, the run was trained on {known[:12]}"
    return f"{name} is there, and has the recorded fingerprint {found[:12]}"


def _add_comparison(report: Report) -> None:
    folder = report.path
    trainings = [file for file in report.files if file.name == TRAINED]
    report.is_finished = (folder / CHOSEN).is_file()
    if not report.is_finished:
        report.facts["resume"] = "not finished: the same 'radapter compare' continues"
        return
    report.facts["resume"] = "finished"

    def base() -> tuple[str, str | None]:
        known = read_about(trainings[0].parent)["fingerprint"] if trainings else None
        return Chosen.read(folder).model, known

    report.facts["base model"] = _base_model(base)


def _add_shards(report: Report) -> None:
    if not report.files[report.path / SIZES].reason:
        found = read_shards(report.path, unlisted=True)
        report.is_finished = found.is_complete
        report.facts["samples"] = f"{len(found)} in {len(found.counts)} shards" + (
            "" if found.is_complete else f"; {found.items} of {found.of} items: the same command continues"
        )


_READERS: dict[str, Callable[[Path], object]] = {
    CONFIG: load_stored,
    TRAINED: lambda file: read_about(file.parent),
    RESULTS: lambda file: Results.read(file.parent),
    INPUTS: lambda file: Inputs.read(file.parent),
    CHOSEN: lambda file: Chosen.read(file.parent),
    SIZES: lambda file: read_shards(file.parent, unlisted=True),
}
_RECORDS: dict[str, Callable[[Path], dict[str, str]]] = {
    MANIFEST: lambda file: recorded(file.parent),
    SIZES: _hashes_of_shards,
    CERTIFICATE: lambda file: hashes_of(read_json(file), file),
}


def _print(report: Report) -> None:
    table = plain_table("File", "State", "Why", left=("File", "State", "Why"))
    for found in report.files.values():
        name = found.file.name if found.file == report.path else str(found.file.relative_to(report.path))
        table.add_row(Text(name), Text(found.state, style=_STYLES[found.state]), Text(found.reason))
    Console().print(framed(table, title=f"{report.kind}: {report.path}"))
    for fact, text in report.facts.items():
        say(f"{fact[:1].upper()}{fact[1:]}: {text}.")
    states = [found.state for found in report.files.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in _STYLES if state in states)
    if not report.is_whole:
        say(f"Not whole: {counts}.", style="bold red")
        next_steps(("repair it", "copy the damaged and missing files again, or write the folder anew"))
        return
    say(f"Whole: {counts}.")
    path = shlex.quote(str(report.path))
    if report.is_finished:
        command = _SEARCH if report.kind == "index" else _KINDS[report.kind][1]
        next_steps(("use it", command.format(path=path, merged=free("merged"))))
    elif report.kind == "run":
        next_steps(("finish it", f"radapter train {path}/{CONFIG} --out {path} --resume"))
    else:
        next_steps(("finish it", "the command that started it"))


def _print_json(report: Report) -> None:
    files = [
        {"file": str(found.file), "state": found.state, "reason": found.reason}
        for found in report.files.values()
    ]
    about = {"kind": report.kind, "path": str(report.path), "whole": report.is_whole}
    facts = {fact.replace(" ", "_"): text for fact, text in report.facts.items()}
    print(json.dumps({**about, **facts, "files": files}, indent=2, ensure_ascii=False))
