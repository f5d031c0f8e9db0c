"""No command asks the network unless the user allows it: not one look-up, whatever a run or a model says."""

import shutil
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import datasets
import pytest
import typer
from PIL import Image

from radapter.commands import demo
from radapter.methods import GROUPS
from radapter.storage import read_json, write_json
from radapter_cli import app

REGIONS = (
    "train.epochs=1",
    "train.batch_size=8",
    "data.train={from_masks: {world: scenes, styles: photo, size: 20, background: false}}",
    "data.id_val={world: scenes, styles: photo, size: 6, seed: 1, background: false}",
    "data.id_test={world: scenes, styles: photo, size: 6, seed: 2, background: false}",
    "data.ood={sketch: {world: scenes, styles: sketch, size: 6, background: false}}",
)
ROWS = {
    "demo": ["--out", "demo"],
    "init": ["retrieval", "--out", "init.yaml"],
    "train": ["{written}", "{small}", "--out", "trained"],
    "compare": ["{written}", "{small}", "--methods", "zero-shot,r-adapter", "--seeds", "1", "compare.points=1",
                "--out", "compared"],
    "evaluate": ["{run}", "--data", "images.parquet"],
    "search": ["{run}", "--data", "photos", "a red star", "--index", "index.safetensors"],
    "segment": ["{run}", "--data", "photos", "--classes", "star, moon", "--out", "segmented"],
    "mine": ["{world: scenes, size: 4}", "--out", "mined"],
    "prompts": ["{regions}", "--epochs", "1"],
    "serve": [],  # it runs until it is stopped: the servers of test_serve.py have sockets blocked
    "report": ["{run}", "--out", "report.html"],
    "plot": ["{run}", "--out", "plots"],
    "sweep": ["{run}"],
    "verify": ["{run}"],
    "predict": ["{run}", "--data", "photos", "--out", "predictions.csv"],
    "embed": ["{run}", "--data", "photos", "--out", "embeddings.npy"],
    "merge": ["{run}", "--alpha", "0.5", "--out", "merged"],
    "push": ["{run}", "owner/name", "--dry-run"],
    "inspect": ["world:tiny"],
    "methods": ["world:tiny"],
    "shards": ["{parquet: pairs.parquet}", "--task", "retrieval", "--out", "shards"],
    "data check": ["{parquet: images.parquet}"],
}  # fmt: skip


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was asked of the network, which the hub's client believes to be there."""
    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "sendto", refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    for module in ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE"):
        monkeypatch.setattr(module, False)
    return asked


@pytest.fixture(scope="module")
def regions(initialised, finished) -> Path:
    return finished(initialised("segmentation"), *REGIONS)


def commands(group: typer.main.TyperGroup, prefix: str = "") -> set[str]:
    """The names of all commands of a group and of the groups in it."""
    inner = [
        commands(command, f"{prefix}{name} ") if hasattr(command, "commands") else {f"{prefix}{name}"}
        for name, command in group.commands.items()
    ]
    return set().union(*inner)


def smaller(suite_of, *arguments, **options):
    """The suite of the demo with fewer images to train and to choose on."""
    suite = suite_of(*arguments, **options)
    return replace(
        suite, train=suite.train.subset(list(range(80))), id_val=suite.id_val.subset(list(range(40)))
    )


def test_every_command_has_a_row():
    assert commands(typer.main.get_command(app)) == set(ROWS)


@pytest.mark.parametrize("command", [command for command, words in ROWS.items() if words])
def test_a_command_makes_no_lookup(
    command, radapter, run, regions, written, small, here, lookups, monkeypatch
):
    (here / "photos").mkdir()
    files = [here / "photos" / f"{number}.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.new("RGB", (48, 48), (60 * number, 0, 200)).save(file)
    images = datasets.Dataset.from_dict({"image": list(map(str, files)), "label": [0, 1, 0, 1]})
    images.cast_column("image", datasets.Image()).cast_column(
        "label", datasets.ClassLabel(names=["star", "moon"])
    ).to_parquet(here / "images.parquet")
    images.remove_columns("label").add_column("captions", ["a", "b", "c", "d"]).to_parquet("pairs.parquet")
    monkeypatch.setitem(GROUPS, "foundation", ("zero-shot", "full", "r-adapter"))  # all take minutes
    monkeypatch.setattr(demo, "world_suite", partial(smaller, demo.world_suite))
    monkeypatch.setattr(demo, "demo", partial(demo.demo, id_size=40, ood_size=8, kept_size=20))
    given = {"{written}": [written], "{small}": small, "{run}": [run], "{regions}": [regions]}
    answer = radapter(*command.split(), *(word for row in ROWS[command] for word in given.get(row, [row])))
    assert answer.code == 0, answer.result.output
    assert lookups == []


@pytest.mark.parametrize("command", ["evaluate", "merge", "sweep", "search", "segment", "prompts", "serve"])
def test_a_run_does_not_allow_downloads_itself(command, radapter, regions, here, lookups):
    shutil.copytree(regions, here / "run", ignore=shutil.ignore_patterns("manifest.json"))
    config = here / "run" / "config.yaml"
    text = config.read_text().replace("model: world:tiny", "model: hf:evil/repo")
    config.write_text(text + "\nallow_download: true\n")
    write_json(
        here / "run" / "trained.json", read_json(here / "run" / "trained.json") | {"model": "hf:evil/repo"}
    )
    (here / "photos").mkdir()
    Image.new("RGB", (48, 48)).save(here / "photos" / "0.png")
    given = {
        "merge": ["--alpha", "0.5", "--out", "merged"],
        "search": ["--data", "photos", "a star"],
        "segment": ["--data", "photos", "--classes", "star", "--out", "out"],
    }
    answer = radapter(command, "run", *given.get(command, []))
    assert answer.code == (0 if command == "sweep" else 2), answer.result.output
    assert lookups == []


@pytest.mark.parametrize(
    "model", ["open_clip:hf-hub:evil/repo", "hf:evil/repo", "timm:vit_tiny_patch16_224.x", "a/b"]
)
def test_a_name_of_the_hub_is_not_looked_up(radapter, lookups, model):
    assert radapter("inspect", model).code == 2
    assert lookups == []
