"""What all commands share: names of options, --json, --quiet, groups in --help, completion."""

import json
import logging
import re
import shlex

import pytest
from typer.main import get_command

from radapter.commands.terminal import next_steps, say
from radapter_cli.application import RENAMED, _LineHandler, app

COMMANDS = get_command(app).commands


def options(command):
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"data"}))
def test_every_command_can_be_quiet_and_none_has_a_former_option(command):
    assert "--quiet" in options(command)
    assert not options(command) & RENAMED.keys()
    assert COMMANDS[command].rich_help_panel is not None


@pytest.mark.parametrize(
    "words", [("merge", "runs/a", "--to", "b"), ("search", "world:tiny", "a", "--images=c")]
)
def test_a_former_option_names_the_new_one(radapter, words):
    answer = radapter(*words)
    former = next(word for word in words if word.startswith("--")).partition("=")[0]
    assert (answer.code, answer.said) == (
        2,
        f"{former} was renamed to {RENAMED[former]}. Use {RENAMED[former]}.\n",
    )


def test_methods_as_json_have_the_counts_of_the_table(radapter):
    answer = radapter("methods", "--json")
    rows = {row["name"]: row for row in json.loads(answer.result.stdout)}
    assert (
        rows["r-adapter"]["trained_parameters"] == 12 * 128**2 + 12
    )  # a full matrix and a scale for each site
    assert rows["zero-shot"]["trained_parameters"] == 0
    assert answer.said == ""


def test_evaluate_as_json_is_a_results_file_and_nothing_else(radapter):
    answer = radapter("evaluate", "world:tiny", "--data", "neon={world: neon, size: 20}", "--json")
    results = json.loads(answer.result.stdout)
    assert results["rows"][0]["id"]["neon"]["n"] == 20


def test_inspect_and_data_check_print_json(radapter):
    assert json.loads(radapter("inspect", "world:tiny", "--json").result.stdout)["name"] == "world:tiny"
    found = json.loads(radapter("data", "check", "{world: neon, size: 20}", "--json").result.stdout)
    assert found["images"] == 20


def test_quiet_leaves_the_table_and_drops_hints(radapter):
    loud = radapter("inspect", "world:tiny").result.stdout
    quiet = radapter("inspect", "world:tiny", "--quiet").result.stdout
    assert "Next:" in loud
    assert "Next:" not in quiet
    assert "Tower" in quiet


def test_a_log_file_has_one_line_per_message(capsys):
    record = logging.LogRecord("radapter", logging.INFO, __file__, 1, "word " * 60, None, None)
    _LineHandler().emit(record)
    assert capsys.readouterr().err == "word " * 60 + "\n"


def test_the_version_has_a_short_option(radapter):
    assert radapter("-V").result.stdout == radapter("--version").result.stdout


def printed(capsys, monkeypatch, function, *arguments, terminal=True):
    """What a function prints in a terminal of 60 columns, or in a file."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.setenv(name, "1") if terminal else monkeypatch.delenv(name, raising=False)
    function(*arguments)
    return re.sub("\x1b[^m]*m", "", capsys.readouterr().out)


def test_a_terminal_wraps_between_words_and_a_file_has_whole_lines(capsys, monkeypatch):
    text = "The learning rate was chosen on the images of ID validation alone."
    shown = printed(capsys, monkeypatch, say, text)
    assert max(map(len, shown.splitlines())) <= 60
    assert shown.split() == text.split()
    assert printed(capsys, monkeypatch, say, text, terminal=False) == f"{text}\n"


def test_a_long_command_of_the_next_steps_can_be_copied_from_a_narrow_terminal(capsys, monkeypatch):
    command = "radapter train run.yaml 'data.ood={sketch: {world: sketch}}' train.lr=1e-3 --out runs/full-2"
    shown = printed(capsys, monkeypatch, next_steps, ("again", command))
    lines = shown.split("again:\n")[1]
    assert max(map(len, lines.splitlines())) <= 60
    assert shlex.split(lines.replace("\\\n", "")) == shlex.split(command)
    assert command in printed(capsys, monkeypatch, next_steps, ("again", command), terminal=False)
