"""What comes from files, settings or data exits with 2 and a message; 1 is a fault of radapter's own."""

import inspect
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from radapter import errors
from radapter.world import TINY

_RAISED = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]


@pytest.mark.parametrize("error", _RAISED)
def test_what_is_raised_on_purpose_exits_with_2_and_its_message(radapter, monkeypatch, error):
    def refuse(*arguments, **options):
        raise error("name, value and remedy")

    monkeypatch.setattr("radapter.commands.runs.sweep", refuse)
    answer = radapter("sweep", "run")
    assert (answer.code, answer.said) == (2, "name, value and remedy\n")


def test_a_file_that_the_system_refuses_exits_with_2(radapter, run, here):
    shutil.copytree(run, here / "run")
    (here / "run" / "results.md").unlink()
    (here / "run" / "results.md").mkdir()  # sweep writes it
    answer = radapter("sweep", "run")
    assert answer.code == 2
    assert "results.md" in answer.said


def test_a_training_that_diverges_exits_with_2_and_proposes_a_lower_rate(radapter, written, small, here):
    answer = radapter(
        "train",
        written,
        *small,
        "method=full",
        "train.lr=1e12",
        "train.batch_size=8",
        "train.epochs=3",
        "out=out",
    )
    assert answer.code == 2
    assert "Lower train.lr" in answer.said


def test_a_model_with_nan_exits_with_2_in_training_and_merging(radapter, run, here, written, small):
    shutil.copytree(TINY, here / "model")
    weights = here / "model" / "model.safetensors"
    tensors = load_file(weights)
    tensors["visual_projection.weight"][0, 0] = torch.nan
    save_file(tensors, weights, metadata={"format": "pt"})
    answer = radapter("train", written, *small, "model=model", "out=out")
    assert (answer.code, "finite" in answer.said) == (2, True)
    answer = radapter("inspect", "model")
    assert answer.code == 0


def test_a_run_whose_adapter_holds_nan_is_not_merged(radapter, run, here):
    shutil.copytree(run, here / "run")
    (here / "run" / "adapter" / "manifest.json").unlink()
    weights = here / "run" / "adapter" / "adapter_model.safetensors"
    tensors = load_file(weights)
    next(iter(tensors.values())).fill_(torch.nan)
    save_file(tensors, weights, metadata={"format": "pt"})
    answer = radapter("merge", "run", "--alpha", "0.5", "--out", "merged")
    assert (answer.code, "finite" in answer.said) == (2, True)
    assert not (here / "merged").exists()
