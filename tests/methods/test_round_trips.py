"""Methods are trained, resumed, evaluated again from their directory and merged, on towers of two libraries."""

import copy

import open_clip
import pytest
import torch
from models.small import OPEN_CLIP, clip_folder
from runs.running import StopAfter, same, tensors

import radapter
from radapter.errors import RunError
from radapter.methods import METHODS
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.directory import RunDirectory, evaluate_run, run_method
from radapter.runs.evaluator import Evaluator
from radapter.runs.merging import merge_run
from radapter.storage import read_json
from radapter.training import Environment, Interrupted

NEW = ["r-adapter:all-linear", "adaptformer", "repadapter", "peft", "model-stock", "lines", "spd"]
ALPHA = 0.5


@pytest.fixture(params=["transformers", "open_clip"])
def model(request, tmp_path_factory, monkeypatch) -> str:
    """The name of a tiny model with random weights."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", copy.deepcopy(OPEN_CLIP))
    if request.param == "open_clip":
        return "open_clip:tiny-ViT"
    return str(clip_folder(tmp_path_factory.mktemp("clip")))


def train(folder, model, method, suite, recipe, *, resume=False, **around):
    directory, rule = RunDirectory(folder, "a: 1\n", resume), AlphaRule(ALPHA)
    return run_method(
        directory,
        METHODS[method],
        radapter.load(model),
        suite,
        recipe,
        rule=rule,
        environment=Environment(**around),
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", NEW)
def test_a_run_is_evaluated_again_from_its_directory_and_resumed_bitwise(
    method, model, suite, recipe, tmp_path
):
    found = train(tmp_path / "run", model, method, suite, recipe)
    again = evaluate_run(
        tmp_path / "run", radapter.load(model), Evaluator(suite, radapter.load(model), recipe)
    )
    row, read = found.row(method), again.row(method)
    for name in ("id", "ood"):
        assert getattr(read, name) == getattr(row, name)
    swept = {point.alpha: point for point in found.sweep if point.method == method}
    assert swept[0.0].id == found.row("zero-shot").id
    stop = StopAfter(5)
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", model, method, suite, recipe, stop=stop, report=stop)
    train(tmp_path / "stopped", model, method, suite, recipe, resume=True)
    assert same(tensors(tmp_path / "run"), tensors(tmp_path / "stopped"))


@pytest.mark.slow
@pytest.mark.parametrize("method", NEW)
def test_a_run_moves_the_features_and_merges_to_them(method, model, suite, recipe, tmp_path):
    train(tmp_path / "run", model, method, suite, recipe)
    if METHODS[method].unmergeable:
        with pytest.raises(RunError, match=f"'{method}' cannot be merged"):
            merge_run(tmp_path / "run", radapter.load(model), to=tmp_path / "merged", format=None, alpha=None)
        assert not (tmp_path / "merged").exists()
        return
    merge_run(tmp_path / "run", radapter.load(model), to=tmp_path / "merged", format=None, alpha=None)
    assert read_json(tmp_path / "merged" / "certificate.json")["max_relative_difference"] < 1e-5
    base, merged = radapter.load(model), radapter.load(str(tmp_path / "merged"))
    pixels = torch.randn(2, 3, base.image_size, base.image_size)
    with torch.no_grad():
        assert not torch.allclose(base.encode_image(pixels), merged.encode_image(pixels), rtol=1e-4)
