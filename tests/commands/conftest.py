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
def written(tmp_path_factory, radapter) -> Path:
    """What `radapter init classification` writes."""
    path = tmp_path_factory.mktemp("init") / "run.yaml"
    assert radapter("init", "classification", "--to", path).code == 0
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory, radapter, written) -> Path:
    """The folder of a finished run of R-Adapter."""
    folder = tmp_path_factory.mktemp("runs") / "world"
    answer = radapter("train", written, *SMALL, "--out", folder)
    assert answer.code == 0, answer.result.output
    return folder


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Overrides that make a run small."""
    return SMALL
