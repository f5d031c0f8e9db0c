"""The house: a room imports only rooms above it, and importing brings nothing that was not asked for."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import radapter

PACKAGE = Path(radapter.__file__).parent
ROOMS = (
    "task_list",
    "errors",
    "given_files",
    "pickles",
    "storage",
    "schemas",
    "manifests",
    "hashing",
    "progress",
    "processes",
    "adapter",
    "losses",
    "world",
    "models",
    "zeroshot",
    "data",
    "segmentation",
    "evaluation",
    "search",
    "methods",
    "training",
    "tasks",
    "runs",
    "inference",
    "comparison",
    "serve",
    "config",
    "report",
    "hub",
    "operations",
    "run",
    "compared",
    "commands",
)
FREE = {PACKAGE / "__init__.py"}
COLLECTIONS = {
    "methods": (
        "frozen",
        "full",
        "flyp",
        "l2_sp",
        "mask_fill",
        "lora",
        "r_adapter",
        *("clip_adapter", "tip_adapter", "coop", "cocoop", "maple", "car_ft", "lipsum_ft"),
    ),
    "data": (
        *(f"labelled.{name}" for name in ("folder", "tables", "world", "coop", "imagenet", "shards")),
        *(f"pairs.{name}" for name in ("tables", "split_files", "tars", "world", "classes")),
        *(f"masks.{name}" for name in ("layouts", "world")),
    ),
    "segmentation": ("felzenszwalb", "transformers_masks", "mask_files"),
    "losses": ("mpm_nce", "clip", "cross_entropy", "siglip"),
}


def imported(file: Path) -> set[str]:
    """Dotted names below `radapter` that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix("radapter.") for name in names if name.startswith("radapter.")}


def test_every_room_is_in_the_plan():
    found = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert found - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else (PACKAGE / room).rglob("*.py")
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    for file in files:
        if file not in FREE:
            used = {name.split(".")[0] for name in imported(file)} & set(ROOMS)
            assert used <= allowed, f"{file.name} imports {used - allowed}"


@pytest.mark.parametrize("room", COLLECTIONS)
def test_entries_of_a_collection_do_not_import_each_other(room: str):
    entries = {f"{room}.{name}" for name in COLLECTIONS[room]}
    for entry in entries:
        assert not imported(PACKAGE / f"{entry.replace('.', '/')}.py") & entries


@pytest.mark.parametrize("name", radapter.__all__)
def test_every_public_name_exists(name: str):
    assert getattr(radapter, name) is not None


@cache
def after_import() -> tuple[str, set[str]]:
    """What PEFT knows and which modules are loaded in a process that has imported radapter alone."""
    code = "import radapter\nimport peft, sys\nprint(peft.PeftType('RADAPTER').value, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kind, *modules = done.stdout.split()
    return kind, set(modules)


def test_import_brings_no_extra():
    _, brought = after_import()
    assert {"radapter.adapter", "radapter.models"} <= brought
    assert not brought & {
        "open_clip",
        "timm",
        "webdataset",
        "skimage",
        "gradio",
        "altair",
        "vl_convert",
        "wandb",
        "tensorboard",
    }


def test_import_registers_the_adapter_with_peft():
    kind, _ = after_import()
    assert kind == "RADAPTER"


def test_no_files_import_each_other():
    files = {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
        if file != PACKAGE / "__init__.py"
    }
    graph = {
        # importing a package's file runs the package's __init__ first, which is no import of its own
        name: {other for other in imported(file) & files.keys() if not name.startswith(f"{other}.")} - {name}
        for name, file in files.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError
