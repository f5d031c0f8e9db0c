"""What pyproject.toml promises, and what messages and documents say of it."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_extras_have_the_names_that_every_pip_knows():
    # pip before 23.3 compares with the metadata, where "open_clip" has become "open-clip"
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in EXTRAS)
    nested = [
        name for of in EXTRAS.values() for line in of for name in re.findall(r"radapter\[(.+?)\]", line)
    ]
    assert {name for names in nested for name in names.split(",")} <= EXTRAS.keys()


def test_every_import_is_declared():
    lines = [line for of in (PROJECT["dependencies"], *EXTRAS.values()) for line in of]
    declared = {re.match(r"[\w-]+", line)[0].lower().replace("_", "-") for line in lines}
    found = {"radapter", "radapter_cli"}
    undeclared = set()
    for file in ROOT.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.split(".")[0] for name in names}
    distributions = packages_distributions()
    for name in found - sys.stdlib_module_names - {"radapter", "radapter_cli"}:
        known = {of.lower().replace("_", "-") for of in distributions.get(name, [name])}
        if not known & declared:
            undeclared.add(name)
    assert undeclared == set()


def test_every_extra_that_is_named_exists():
    files = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("tests/**/*.py"),
        ROOT / "README.md",
    ]
    said = {
        (extra, file.name)
        for file in files
        for names in re.findall(
            r"pip install[^\n`]*?'(?:radapter|\.)\[([\w,-]+)\]", file.read_text(encoding="utf-8")
        )
        for extra in names.split(",")
    }
    assert said
    assert [(extra, file) for extra, file in said if extra not in EXTRAS] == []


def test_transformers_below_5_4_are_refused():
    assert "transformers>=5.18" in PROJECT["dependencies"]  # before, images need torchvision


def test_the_test_extra_installs_both_trackers():
    assert {"tensorboard", "wandb"} <= {re.split(r"[>=<]", line)[0] for line in EXTRAS["tracking"]}
    assert any("tracking" in line for line in EXTRAS["test"])


def test_python_m_radapter_is_the_command():
    run = subprocess.run(
        [sys.executable, "-m", "radapter", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == PROJECT["version"]


def test_every_data_file_is_in_the_wheel():
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]["radapter"]
    package = ROOT / "src" / "radapter"
    data = [
        file.relative_to(package)
        for file in package.rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    ]
    assert data
    assert [file for file in data if not any(file.match(pattern) for pattern in patterns)] == []
