"""The command line in this process, and runs small enough for tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radapter_cli import app

SMALL = (
    "train.epochs=1",
    "data.train={world: train, size: 80}",
    "data.id_val={world: id_val, size: 40}",
    "data.id_test={world: id_test, size: 40}",
    "data.ood={sketch: {world: sketch, size: 40}}",
)


class Answer:
    """What a command said and how it ended."""

    def __init__(self, *arguments: object) -> None:
        self.result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        self.code = self.result.exit_code
        self.printed = self.result.stdout
        self.said = self.result.stderr


@pytest.fixture(scope="session")
def radapter() -> Callable[..., Answer]:
    """Calls the command line: radapter("train", path)."""
    return Answer


@pytest.fixture(scope="session")
def initialised(tmp_path_factory, radapter) -> Callable[[str], Path]:
    """Gives what `radapter init TASK` writes."""

    def of(task: str) -> Path:
        path = tmp_path_factory.mktemp("init") / "run.yaml"
        assert radapter("init", task, "--out", path).code == 0
        return path

    return of


@pytest.fixture(scope="session")
def finished(tmp_path_factory, radapter) -> Callable[..., Path]:
    """Trains by a run.yaml and overrides, and gives the folder of the run."""

    def of(*arguments: object) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "run"
        answer = radapter("train", *arguments, "--out", folder)
        assert answer.code == 0, answer.result.output
        return folder

    return of


@pytest.fixture(scope="session")
def written(initialised) -> Path:
    """What `radapter init classification` writes."""
    return initialised("classification")


@pytest.fixture(scope="session")
def run(finished, written) -> Path:
    """The folder of a finished run of R-Adapter."""
    return finished(written, *SMALL)


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Overrides that make a run small."""
    return SMALL


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder in which commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[Path, bytes | None]]:
    """Gives what a folder holds: path -> bytes, None for a folder."""
    return lambda folder: {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refusal(here, snapshot) -> Callable[..., str]:
    """Calls a command that must refuse and leave the folder as it is, and gives what was said, in one line."""

    def of(command: Callable[..., Answer], *arguments: object, **named: object) -> str:
        before = snapshot(here)
        answer = command(*arguments, **named)
        assert answer.code == 2, answer.result.output
        assert "Traceback" not in answer.result.output
        assert snapshot(here) == before
        return " ".join(answer.said.split())

    return of
