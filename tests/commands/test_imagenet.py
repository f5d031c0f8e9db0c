"""The paper's main run, end to end on a miniature of the real layouts: size, steps and weights are replaced."""

import copy
import json
from pathlib import Path

import pytest
from miniatures.imagenet_family import HELD_OUT, IDS, TRAINED, imagenet_family
from models.small import OPEN_CLIP

from radapter.config import load_config
from radapter.zeroshot import templates

open_clip = pytest.importorskip("open_clip")

RECIPE = Path(__file__).parents[2] / "recipes" / "imagenet.yaml"
SMALL = ("model=open_clip:tiny-ViT", "train.epochs=1", "train.batch_size=8", "train.warmup_steps=1")
SHIFTS = {"v2": 3, "r": 3, "a": 2, "sketch": 5, "objectnet": 3}


@pytest.fixture(scope="module")
def trained(radapter, tmp_path_factory):
    """The run's folder."""
    root = tmp_path_factory.mktemp("imagenet")
    imagenet_family(root / "data", held_out_from=0.98)
    tiny = copy.deepcopy(OPEN_CLIP)
    tiny["text_cfg"]["context_length"] = 77
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", tiny)
        patch.setenv("IMAGENET_DATA", str(root / "data"))
        answer = radapter("train", RECIPE, *SMALL, "--out", root / "run")
    assert answer.code == 0, answer.result.output
    return root / "run"


def test_the_recipe_has_the_papers_settings(monkeypatch):
    monkeypatch.setenv("IMAGENET_DATA", "/data")
    config = load_config(RECIPE)
    method, loss, train = config.method, config.loss, config.train
    assert config.model == "open_clip:ViT-B-16/openai"
    assert (method.r, method.drop, config.select.alpha, train.ema_decay) == (None, 0.2, 0.5, 0.999)
    assert (loss.margin, loss.label_smoothing) == (0.05, 0.02)
    assert (train.batch_size, train.epochs, train.lr, train.weight_decay) == (512, 10, 5e-4, 0.0)
    assert (train.warmup_steps, train.grad_clip) == (500, 1.0)
    assert len(templates(config.data.templates)) == 80


def test_every_shift_is_read_by_its_layout_and_reported(trained):
    _, row = json.loads((trained / "results.json").read_text())["rows"]
    assert (row["method"], row["alpha"]) == ("r-adapter", 0.5)
    assert row["id"]["imagenet"]["n"] == len(IDS)
    assert {name: metrics["n"] for name, metrics in row["ood"].items()} == SHIFTS
    assert row["ood_mean"] == pytest.approx(sum(m["top1"] for m in row["ood"].values()) / 5)


def test_validation_is_held_out_of_the_training_images(trained):
    results = json.loads((trained / "results.json").read_text())
    steps = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {point["id_val"]["n"] for point in results["sweep"]} == {HELD_OUT * len(IDS)}
    assert steps[-1]["steps"] == -(-TRAINED * len(IDS) // 8)


def test_sets_of_fewer_classes_are_answered_among_their_own(trained):
    _, row = json.loads((trained / "results.json").read_text())["rows"]
    assert row["ood"]["a"]["top5"] == row["ood"]["r"]["top5"] == row["ood"]["objectnet"]["top5"] == 1
