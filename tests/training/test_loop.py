import errno
import logging
import os
from dataclasses import replace

import pytest
import torch

import radapter
from radapter.adapter import Ema
from radapter.data import TrainLoader
from radapter.data.images.augment import Augmentation
from radapter.errors import ConfigError, DiskError, DivergedError
from radapter.losses import bound_loss
from radapter.methods import METHODS, MethodSettings, trained_parameters
from radapter.training import (
    Checkpoints,
    ClassCaptions,
    Environment,
    Interrupted,
    Optimization,
    Progress,
    Saving,
    StopSignal,
    TrainingData,
    fit,
    make_accelerator,
)


class Rig:
    """A learner of the world's tiny CLIP with everything that `fit` takes."""

    def __init__(
        self, suite, *, method: str = "r-adapter", preprocess=None, batch_size: int = 15, seed: int = 0
    ):
        encoder = radapter.load("world:tiny")
        head = suite.head(encoder)
        row = METHODS[method]
        loss = bound_loss(row.losses[0], margin=None, label_smoothing=None, logit_bias=None)
        assert row.build is not None
        torch.manual_seed(seed)
        self.learner, _ = row.build(encoder, head=head, loss=loss, settings=row.settings(MethodSettings()))
        self.ema = Ema(self.learner, decay=0.5)
        self.loader = TrainLoader(
            suite.train,
            preprocess or encoder.preprocess,
            Augmentation(encoder.image_size),
            batch_size=batch_size,
            seed=seed,
        )
        captions = ClassCaptions(suite.classnames, suite.templates, encoder.tokenize, seed=seed)
        self.data = TrainingData(self.loader, captions)
        self.steps: list[Progress] = []
        self.seed = seed

    def fit(
        self,
        *,
        precision="fp32",
        learning_rate=3e-3,
        epochs=1,
        saving=None,
        after_epoch=None,
        stop=None,
        **options,
    ) -> int:
        return fit(
            self.learner,
            self.ema,
            self.data,
            make_accelerator(precision),
            Optimization(epochs, learning_rate, seed=self.seed, **options),
            saving=saving,
            after_epoch=after_epoch,
            environment=Environment(stop=stop or StopSignal(), report=self.steps.append),
        )

    def weights(self) -> dict[str, torch.Tensor]:
        return {n: p.detach().clone() for n, p in trained_parameters(self.learner).items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_the_seed_fixes_everything(suite):
    rigs = [Rig(suite), Rig(suite), Rig(suite, seed=1)]
    for rig in rigs:
        rig.fit()
    assert equal(rigs[0].weights(), rigs[1].weights())
    assert [s.loss for s in rigs[0].steps] == [s.loss for s in rigs[1].steps]
    assert not equal(rigs[0].weights(), rigs[2].weights())


def test_training_lowers_the_loss(suite):
    rig = Rig(suite)
    rig.fit(epochs=6)
    losses = [step.loss for step in rig.steps]
    assert sum(losses[-4:]) < sum(losses[:4])


def test_every_step_is_reported_with_its_learning_rate(suite):
    rig = Rig(suite)
    rig.fit(warmup_steps=2)
    assert [(s.step, s.steps, s.epoch) for s in rig.steps] == [(i, 4, 0) for i in (1, 2, 3, 4)]
    assert [s.learning_rate for s in rig.steps] == pytest.approx([1.5e-3, 3e-3, 3e-3, 1.5e-3])


def test_gradient_clipping_acts(suite):
    rigs = [Rig(suite, method="full"), Rig(suite, method="full")]
    rigs[0].fit(grad_clip=None)
    rigs[1].fit(grad_clip=1e-6)
    assert not equal(rigs[0].weights(), rigs[1].weights())


def test_weight_decay_acts(suite):
    rigs = [Rig(suite), Rig(suite)]
    rigs[0].fit()
    rigs[1].fit(weight_decay=10.0)
    assert not equal(rigs[0].weights(), rigs[1].weights())


def poison(rig: Rig, steps: set[int]) -> None:
    """Makes the images of the given batches of the first epoch not-a-number."""
    plain = rig.loader.epoch

    def epoch(number: int, start_step: int = 0):
        for step, batch in enumerate(plain(number, start_step), start_step):
            if step in steps:
                batch.pixels.fill_(float("nan"))
            yield batch

    rig.loader.epoch = epoch


def test_a_non_finite_step_changes_neither_weights_nor_average_nor_optimizer(suite, caplog):
    rig = Rig(suite)
    poison(rig, {0, 1, 2, 3})
    weights = rig.weights()
    average = {n: t.clone() for n, t in rig.ema.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        assert rig.fit() == 4
    assert equal(rig.weights(), weights)
    assert equal(rig.ema.state_dict(), average)
    assert "step 1 skipped" in caplog.text


def test_training_continues_after_a_non_finite_step(suite):
    rig = Rig(suite)
    poison(rig, {1})
    weights = rig.weights()
    assert rig.fit() == 1
    assert not equal(rig.weights(), weights)
    assert all(t.isfinite().all() for t in rig.weights().values())


def test_too_many_non_finite_steps_in_a_row_end_the_run_and_name_samples(suite):
    rig = Rig(suite)
    poison(rig, {0, 1, 2})
    with pytest.raises(DivergedError, match=r"3 steps in a row.*world train"):
        rig.fit(max_skipped=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can do fp16")
def test_fp16_without_a_gpu_is_refused():
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        make_accelerator("fp16")


def test_bf16_trains_and_keeps_weights_in_float32(suite):
    rig = Rig(suite)
    assert rig.fit(precision="bf16") == 0
    assert {t.dtype for t in rig.weights().values()} == {torch.float32}
    plain = Rig(suite)
    plain.fit()
    assert rig.steps[0].loss == pytest.approx(plain.steps[0].loss, rel=0.05)
    assert rig.steps[0].loss != plain.steps[0].loss


def test_towers_and_head_have_rates_of_their_own_under_one_schedule(suite):
    rig = Rig(suite, method="full")
    before = rig.weights()
    rig.fit(learning_rate=1e-4, head_learning_rate=0.0, warmup_steps=2)
    assert [s.learning_rate for s in rig.steps] == pytest.approx([5e-5, 1e-4, 1e-4, 5e-5])
    same = {name for name, weight in rig.weights().items() if torch.equal(weight, before[name])}
    assert same == {name for name in before if not name.startswith("encoder.")}


def test_a_head_moves_at_most_its_own_rate_in_a_step(suite):
    rig = Rig(suite, method="full", batch_size=60)
    before = rig.learner.head.weight.detach().clone()
    rig.fit(learning_rate=1e-6, head_learning_rate=0.25, grad_clip=None)
    assert (rig.learner.head.weight - before).abs().max().item() == pytest.approx(0.25, rel=1e-3)


def test_one_rate_serves_towers_and_head_alike_where_the_head_has_none(suite):
    rigs = [Rig(suite, method="full"), Rig(suite, method="full")]
    rigs[0].fit(learning_rate=1e-3)
    rigs[1].fit(learning_rate=1e-3, head_learning_rate=1e-3)
    assert equal(rigs[0].weights(), rigs[1].weights())


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_run_with_two_rates_resumes_bitwise(suite, tmp_path, stop_at):
    rates = {"learning_rate": 1e-4, "head_learning_rate": 0.1, "warmup_steps": 2}
    whole, stopped, resumed = (Rig(suite, method="full") for _ in range(3))
    whole.fit(**rates)

    class StopAfter(StopSignal):
        asked = property(lambda _: len(stopped.steps) == stop_at, lambda *_: None)

    saving = Saving(Checkpoints(tmp_path))
    with pytest.raises(Interrupted):
        stopped.fit(**rates, saving=saving, stop=StopAfter())
    resumed.fit(**rates, saving=replace(saving, resume=True))
    assert resumed.steps[0].step == stop_at + 1
    assert equal(resumed.weights(), whole.weights())
    assert equal(resumed.ema.state_dict(), whole.ema.state_dict())


def saved(folder) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in folder.glob("step-*"))


def test_a_checkpoint_is_saved_by_the_clock(suite, tmp_path):
    Rig(suite).fit(epochs=2, saving=Saving(Checkpoints(tmp_path / "epochs", keep=9)))
    Rig(suite).fit(epochs=2, saving=Saving(Checkpoints(tmp_path / "clock", keep=9), minutes=1e-9))
    assert saved(tmp_path / "epochs") == [4, 8]
    assert saved(tmp_path / "clock") == list(range(1, 9))


def test_an_epoch_is_saved_before_its_validation_which_a_resumed_run_does_again(suite, tmp_path):
    rig, validated = Rig(suite), []

    def killed(epoch: int) -> None:
        assert saved(tmp_path) == [4]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rig.fit(epochs=2, saving=Saving(Checkpoints(tmp_path), every=99), after_epoch=killed)
    Rig(suite).fit(epochs=2, saving=Saving(Checkpoints(tmp_path), resume=True), after_epoch=validated.append)
    assert validated == [0, 1]


def test_a_signal_in_the_last_step_stops_the_run_with_its_checkpoint(suite, tmp_path):
    rig = Rig(suite)

    class StopAfter(StopSignal):
        asked = property(lambda _: len(rig.steps) == 4, lambda *_: None)

    with pytest.raises(Interrupted, match="step 4 of 4"):
        rig.fit(saving=Saving(Checkpoints(tmp_path)), stop=StopAfter())
    assert saved(tmp_path) == [4]


def test_a_run_that_diverges_replaces_no_good_checkpoint(suite, tmp_path):
    rig = Rig(suite)
    poison(rig, {2, 3})
    with pytest.raises(DivergedError):
        rig.fit(saving=Saving(Checkpoints(tmp_path), every=1), max_skipped=2)
    assert saved(tmp_path) == [1, 2]


def test_a_checkpoint_that_was_due_in_a_skipped_step_comes_with_the_next_good_one(suite, tmp_path):
    rig = Rig(suite)
    poison(rig, {1})
    rig.fit(saving=Saving(Checkpoints(tmp_path), every=2))
    assert saved(tmp_path) == [3, 4]


def test_training_continues_on_a_full_disk_and_the_earlier_checkpoint_stays(
    suite, tmp_path, monkeypatch, caplog
):
    rig, flush = Rig(suite), os.fsync

    def full_at_last(handle: int) -> None:
        if len(rig.steps) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    monkeypatch.setattr(os, "fsync", full_at_last)
    assert rig.fit(saving=Saving(Checkpoints(tmp_path), every=1)) == 0
    assert saved(tmp_path) == [1, 2]
    assert "no checkpoint at step 3" in caplog.text
    assert "No space left on device" in caplog.text
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_at_an_interruption_is_an_error(suite, tmp_path, monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    stop = StopSignal()
    stop.asked = True
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"step-00000001' cannot be written.* MiB are free"):
        Rig(suite).fit(saving=Saving(Checkpoints(tmp_path)), stop=stop)
