"""Damage to anything that radapter wrote is noticed, `verify` names it, and what is whole is said to be."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from radapter.adapter import Ema
from radapter.data.shards.stream import open_labelled_stream
from radapter.errors import DamagedError, DataError, InputError, RAdapterError
from radapter.models import load
from radapter.runs.best_epoch import BestEpoch
from radapter.search import ImageIndex, read_index, write_index
from radapter.storage import sha256_of_tensors
from radapter.zeroshot import LinearHead

FLIPS = 10
_CARDS = ("README.md", "results.md")


def flip(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def damaged_copies(folder: Path, to: Path, files: list[Path]):
    """Copies of a folder, each with one flipped bit in one of the files; the larger files are hit as often."""
    chance = random.Random(0)
    for number in range(FLIPS):
        copy = to / f"{number}"
        shutil.copytree(folder, copy)
        flip(copy / chance.choice(files).relative_to(folder), chance)
        yield copy


@pytest.fixture(scope="module")
def merged(radapter, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("merged") / "merged"
    assert radapter("merge", run, "--alpha", "0.5", "--out", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def probe(finished, written, small):
    """A run of a method whose weights are no adapter."""
    return finished(written, *small, "method=linear-probe")


@pytest.fixture(scope="module")
def shards(radapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "shards"
    assert radapter("shards", "{world: train, size: 12}", "--out", folder, "--size", "20kB").code == 0
    return folder


@pytest.fixture(scope="module")
def mined(radapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mined") / "mined"
    options = ("--floor", "-1", "--margin", "-2", "--limit", 4)
    assert radapter("mine", "{world: scenes, size: 12}", *options, "--out", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A search index, alone in its folder."""
    folder = tmp_path_factory.mktemp("index")
    paths = tuple(f"{row}.png" for row in range(8))
    write_index(
        folder / "i.safetensors", ImageIndex("m", paths, torch.arange(16).reshape(8, 2), torch.eye(8))
    )
    return folder


def test_damage_to_an_adapter_is_noticed_when_a_run_is_loaded(radapter, run, tmp_path):
    adapter = run / "adapter"
    files = [adapter / name for name in ("adapter_config.json", "adapter_model.safetensors", "manifest.json")]
    for copy in damaged_copies(run, tmp_path, files):
        answer = radapter("merge", copy, "--alpha", "0.5", "--out", tmp_path / "merged")
        assert (answer.code, "adapter" in answer.said) == (2, True), answer.result.output


def test_damage_to_a_merged_folder_is_noticed_when_it_is_loaded(radapter, merged, tmp_path):
    files = [file for file in merged.iterdir() if file.name not in _CARDS]
    for copy in damaged_copies(merged, tmp_path, files):
        answer = radapter("inspect", copy)
        assert answer.code == 2, answer.result.output
        shutil.rmtree(copy)


def test_damage_to_the_folder_of_an_older_radapter_is_found_by_its_certificate(radapter, merged, tmp_path):
    (shutil.copytree(merged, tmp_path / "old") / "manifest.json").unlink()
    assert radapter("inspect", tmp_path / "old").code == 0
    flip(tmp_path / "old" / "model.safetensors", random.Random(1))
    answer = radapter("inspect", tmp_path / "old")
    assert (answer.code, "certificate.json" in answer.said) == (2, True)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("run", "radapter sweep {}"),
        ("merged", "radapter evaluate {}"),
        ("shards", "radapter data check '{{stream: {}}}'"),
        ("mined", "data: {{train: {{mined: {}}}}}"),
    ],
)
def test_verify_names_a_next_step(radapter, request, kind, command):
    folder = request.getfixturevalue(kind)
    assert command.format(folder) in radapter("verify", folder).printed


@pytest.mark.parametrize("kind", ["run", "probe", "merged", "shards", "mined"])
def test_verify_tells_what_is_whole_and_any_damage(radapter, request, tmp_path, kind):
    folder = request.getfixturevalue(kind)
    answer = radapter("verify", folder, "--json")
    answered = json.loads(answer.printed)
    assert (answer.code, answered["whole"]) == (0, True)
    recorded = [Path(entry["file"]) for entry in answered["files"] if entry["state"] == "whole"]
    records = [file for file in folder.rglob("manifest.json") if "checkpoints" not in file.parts]
    for copy in damaged_copies(folder, tmp_path, [*recorded, *records]):
        answer = radapter("verify", copy, "--json")
        assert (answer.code, json.loads(answer.printed)["whole"]) == (2, False)
        shutil.rmtree(copy)


def test_damage_to_an_index_is_noticed_when_it_is_read(radapter, index, tmp_path):
    assert radapter("verify", index / "i.safetensors").code == 0
    for copy in damaged_copies(index, tmp_path, [index / "i.safetensors"]):
        with pytest.raises(InputError):
            read_index(copy / "i.safetensors")
        assert radapter("verify", copy / "i.safetensors").code == 2


def test_an_index_of_schema_1_is_read_and_its_features_are_checked(index, tmp_path):
    file = tmp_path / "i.safetensors"
    tensors = load_file(index / "i.safetensors")
    about = {
        "kind": "radapter image index 1",
        "model": "m",
        "features": sha256_of_tensors([("features", tensors["features"])]),
    }
    save_file(tensors, file, metadata=about)
    assert len(read_index(file)) == 8
    save_file(tensors | {"features": tensors["features"].flip(0)}, file, metadata=about)
    with pytest.raises(DataError, match="do not match their SHA-256"):
        read_index(file)


@pytest.mark.parametrize("name", ["contents.safetensors", "sizes.json"])
def test_damage_to_the_small_files_of_shards_is_noticed_when_they_are_opened(shards, tmp_path, name):
    for copy in damaged_copies(shards, tmp_path, [shards / name]):
        with pytest.raises(RAdapterError):
            open_labelled_stream({"stream": str(copy)})


def test_damage_to_a_probe_is_noticed_when_it_is_loaded(radapter, probe, tmp_path):
    for copy in damaged_copies(probe, tmp_path, [probe / "head.safetensors", probe / "trained.json"]):
        answer = radapter("merge", copy, "--alpha", "1", "--out", tmp_path / "merged")
        assert (answer.code, "does not match" in answer.said) == (2, True), answer.result.output


def test_a_deleted_tensor_is_damage_with_and_without_a_manifest(radapter, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "adapter" / "adapter_model.safetensors"
    tensors = load_file(file)
    gone = sorted(tensors)[0]
    save_file({name: tensor for name, tensor in tensors.items() if name != gone}, file)
    options = ("--alpha", "0.5", "--out", tmp_path / "merged")
    assert "does not match" in radapter("merge", tmp_path / "run", *options).said
    (file.parent / "manifest.json").unlink()
    answer = radapter("merge", tmp_path / "run", *options)
    assert answer.code == 2
    assert f"{gone} has no such tensor" in " ".join(answer.said.split())


def test_what_a_user_adds_is_no_damage_and_peft_loads_the_adapter_alone(radapter, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for name in ("README.md", ".gitattributes"):
        (tmp_path / "run" / "adapter" / name).write_text("mine")
    assert radapter("verify", tmp_path / "run").code == 0
    PeftModel.from_pretrained(load("world:tiny").module, tmp_path / "run" / "adapter")
    (tmp_path / "run" / "adapter" / "manifest.json").unlink()
    assert radapter("merge", tmp_path / "run", "--alpha", "0.5", "--out", tmp_path / "merged").code == 0


def test_damage_to_the_best_epoch_is_noticed_when_it_is_read(tmp_path):
    ema = Ema(LinearHead(torch.eye(3), torch.zeros(3)).requires_grad_(True), decay=0.5)
    keep = {"folder": tmp_path / "best", "resume": True}
    BestEpoch(ema, lambda: {"top1": 0.5}, lambda *_: True, **keep)(0)
    assert BestEpoch(ema, dict, lambda *_: True, **keep).epoch == 0
    for copy in damaged_copies(tmp_path / "best", tmp_path / "copies", list((tmp_path / "best").iterdir())):
        with pytest.raises(DamagedError):
            BestEpoch(ema, dict, lambda *_: True, folder=copy, resume=True)


def test_verify_tells_base_model_and_resume(radapter, run, tmp_path):
    printed = " ".join(radapter("verify", run).printed.split())
    assert "Base model: world:tiny is there, and has the recorded fingerprint" in printed
    assert "the run is finished" in printed
    shutil.copytree(run, tmp_path / "run")
    for name in ("results.json", "trained.json", "manifest.json"):
        (tmp_path / "run" / name).unlink()
    (step,) = (tmp_path / "run" / "checkpoints").iterdir()
    command = f"radapter train {tmp_path / 'run'}/config.yaml --out {tmp_path / 'run'} --resume"
    assert command in radapter("verify", tmp_path / "run").printed
    assert radapter(*command.split()[1:]).code == 0
    for name in ("results.json", "trained.json", "manifest.json"):
        (tmp_path / "run" / name).unlink()
    answered = json.loads(radapter("verify", tmp_path / "run", "--json").printed)
    assert answered["resume"] == f"--resume continues from step {int(step.name[5:])}, {step}"
    (step / "state.json").unlink()
    answered = json.loads(radapter("verify", tmp_path / "run", "--json").printed)
    assert (answered["resume"], answered["whole"]) == ("no whole checkpoint is there, 1 are damaged", False)


def test_verify_refuses_what_radapter_did_not_write(radapter, tmp_path):
    answer = radapter("verify", tmp_path)
    assert (answer.code, "verify needs a run, a comparison" in answer.said) == (2, True)
