"""What the command line says of itself, and how fast."""

import re
import subprocess
import sys

import pytest

COMMANDS = (
    "demo",
    "init",
    "train",
    "compare",
    "evaluate",
    "predict",
    "embed",
    "search",
    "segment",
    "serve",
    "sweep",
    "merge",
    "push",
    "verify",
    "inspect",
    "methods",
    "shards",
    "data check",
)


def test_help_answers_without_importing_torch():
    code = (
        "import sys\nfrom radapter_cli import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, 'radapter' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
    assert "Usage" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_listed_and_has_an_example(radapter, name):
    assert name.split()[0] in radapter("--help").printed
    assert f"radapter {name}" in _plain(radapter(*name.split(), "--help").printed)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_80_columns_breaks_no_choice_inside_a_word(radapter, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", radapter(*name.split(), "--help").printed)
    assert re.findall(r"<[\w|]+ {2,}.*", shown) == []


def test_help_lists_the_exit_codes(radapter):
    assert "Exit codes: 0 success, 1 internal error, 2 invalid input, 130 interrupted." in _plain(
        radapter("--help").printed
    )


def test_no_command_shows_the_help(radapter):
    answer = radapter()
    assert answer.code == 2
    assert "Usage" in answer.result.output


def test_version_is_that_of_the_package(radapter):
    import radapter as package

    assert radapter("--version").printed.strip() == package.__version__


def test_unknown_command_proposes_the_nearest(radapter):
    answer = radapter("trian")
    assert answer.code == 2
    assert "Did you mean 'train'?" in answer.said


def test_module_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "radapter_cli", "--version"], capture_output=True, check=True
    )
    assert done.stderr == b""


def _plain(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
