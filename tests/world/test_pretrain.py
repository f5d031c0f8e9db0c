"""Pre-training: deterministic, resumable, and ending without its helpers."""

import dataclasses

import pretrain as script
import pytest
import torch
from pretrain import pretrain
from pretraining.stages import STAGES

TINY_STAGES = tuple(dataclasses.replace(stage, images=8, batch_size=4) for stage in STAGES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    pretrain(folder, seed=3, stages=TINY_STAGES, width=32)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    return _weights(folder / "after-names.pt")


def _weights(path):
    return torch.load(path, weights_only=True)["trainee"]


def test_same_seed_gives_the_same_weights(trained, tmp_path):
    pretrain(tmp_path, seed=3, stages=TINY_STAGES, width=32)
    again = _weights(tmp_path / "after-names.pt")
    assert all(torch.equal(again[name], trained[name]) for name in trained)


def test_other_seed_gives_other_weights(trained, tmp_path):
    pretrain(tmp_path, seed=4, stages=TINY_STAGES[:1], width=32)
    other = _weights(tmp_path / "after-objects.pt")
    assert not torch.equal(other["model.visual_projection.weight"], trained["model.visual_projection.weight"])


def test_interrupted_run_continues_to_the_same_weights(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "_SAVE_EVERY", 1)
    steps = iter(range(100))
    one_step = script._train_step

    def interrupted(*arguments):
        if next(steps) == 5:
            raise KeyboardInterrupt
        return one_step(*arguments)

    monkeypatch.setattr(script, "_train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path, seed=3, stages=TINY_STAGES, width=32)
    pretrain(tmp_path, seed=3, stages=TINY_STAGES, width=32)
    resumed = _weights(tmp_path / "after-names.pt")
    assert all(torch.equal(resumed[name], trained[name]) for name in trained)


def test_last_stage_leaves_the_image_tower_alone(tmp_path):
    pretrain(tmp_path, seed=3, stages=TINY_STAGES, width=32)
    before, after = (
        torch.load(tmp_path / f"after-{name}.pt", weights_only=True)["trainee"] for name in ("long", "names")
    )
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert not any(name.startswith(("model.vision_model", "label_head", "mask_head")) for name in changed)
    assert {"model.visual_projection.weight", "model.text_projection.weight"} <= changed


def test_patches_hold_their_pixels():
    masks = torch.zeros(1, 48, 48)
    masks[0, 8:16, 40:48] = 1
    patches = script._patches(masks)
    assert patches.shape == (1, 36, 64)
    assert patches.sum(-1).nonzero().tolist() == [[0, 1 * 6 + 5]]


def test_scale_floor_rises_to_half_time_and_helpers_are_gone_by_then():
    long = STAGES[2]
    assert [round(long.scale_floor_at(done), 3) for done in (0.0, 0.25, 0.5, 1.0)] == [
        14.0,
        26.458,
        50.0,
        50.0,
    ]
    assert [long.helper_share(done) for done in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.5, 0.0, 0.0]
    assert STAGES[0].helper_share(0.9) == 1.0


def test_learning_rate_warms_up_and_decays():
    long = STAGES[2]
    rates = [long.lr_at(step, 1000) for step in (0, 99, 500, 999)]
    assert rates[0] < rates[1] > rates[2] > rates[3]
    assert rates[2] == pytest.approx(long.lr / 2)
    assert STAGES[0].lr_at(999, 1000) == STAGES[0].lr
