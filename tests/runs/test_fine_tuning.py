from dataclasses import replace
from pathlib import Path

import pytest
import torch

import radapter
from radapter.data import Memory
from radapter.errors import ConfigError, LeakError
from radapter.evaluation import HEADLINES
from radapter.methods import METHODS
from radapter.methods.rates import default_rate
from radapter.runs.best_epoch import BestEpoch
from radapter.runs.evaluator import Evaluator, Validator
from radapter.runs.fine_tuning import train_method
from radapter.runs.results import Selection
from radapter.runs.weights import load_trained, save_trained
from radapter.training import Checkpoints, Environment, Interrupted, StopSignal
from radapter.zeroshot import Classifier


def trained(name, suite, recipe, **options):
    return train_method(METHODS[name], radapter.load("world:tiny"), suite, recipe, seed=0, **options)


@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_lp_ft_starts_from_the_probe_s_head_at_the_same_multiple_of_its_rate(suite, recipe, factor):
    still = replace(METHODS["lp-ft"], learning_rate=1e-12, head_learning_rate=1e-12)
    rate = factor * default_rate(still, 128)
    found = train_method(
        still, radapter.load("world:tiny"), suite, replace(recipe, epochs=2, learning_rate=rate), seed=0
    )
    probe = trained("linear-probe", suite, replace(recipe, epochs=1, learning_rate=factor * 0.1))
    for name, tensor in probe.classifier.head.named_parameters(prefix="head"):
        assert torch.allclose(found.classifier.get_parameter(name), tensor, atol=1e-6)
        assert torch.equal(found.before[name], probe.before[name])  # alpha 0 is zero-shot, not the probe
        assert not torch.equal(probe.before[name], tensor)


def test_a_training_records_the_rates_of_towers_and_head(suite, recipe):
    found = trained("full", suite, replace(recipe, epochs=1, learning_rate=None))
    assert (found.record.learning_rate, found.record.head_learning_rate) == (pytest.approx(1.8e-4), 3e-5)
    assert trained("flyp", suite, replace(recipe, epochs=1)).record.head_learning_rate is None


def test_lp_ft_has_the_epochs_of_any_other_method(suite, recipe):
    steps: list[int] = []
    found = trained(
        "lp-ft",
        suite,
        replace(recipe, epochs=3),
        environment=Environment(report=lambda p: steps.append(p.step)),
    )
    assert found.record.epochs == 3
    assert len(steps) == 3 * 4  # 60 images in batches of 16: 4 steps an epoch


def test_lp_ft_needs_an_epoch_for_each_stage(suite, recipe):
    with pytest.raises(ConfigError, match=r"train\.epochs must be at least 2"):
        trained("lp-ft", suite, replace(recipe, epochs=1))


def test_lp_ft_resumes_bitwise_in_either_stage(tmp_path: Path, suite, recipe):
    whole = trained("lp-ft", suite, recipe)
    for stop_at in (3, 6):

        class StoppedError(Exception):
            pass

        done = 0

        def report(progress, stop_at=stop_at, stopped=StoppedError):
            nonlocal done
            done += 1
            if done == stop_at:
                raise stopped

        folder = Checkpoints(tmp_path / f"{stop_at}")
        frequent = replace(recipe, checkpoint_every=1)
        with pytest.raises(StoppedError):
            trained("lp-ft", suite, frequent, checkpoints=folder, environment=Environment(report=report))
        again = trained("lp-ft", suite, frequent, checkpoints=folder, resume=True)
        state, expected = again.classifier.state_dict(), whole.classifier.state_dict()
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_a_resumed_training_counts_the_seconds_before_the_interruption(tmp_path: Path, suite, recipe):
    checkpoints, stop = Checkpoints(tmp_path), StopSignal()
    stop.asked = True
    with pytest.raises(Interrupted):
        trained("r-adapter", suite, recipe, checkpoints=checkpoints, environment=Environment(stop=stop))
    before = checkpoints.newest()
    assert before is not None
    assert before.seconds > 0
    checkpoints.save(replace(before, seconds=1e6))
    resumed = trained("r-adapter", suite, recipe, checkpoints=checkpoints, resume=True)
    done = checkpoints.newest()
    assert done is not None
    assert 1e6 < done.seconds < resumed.record.seconds


def test_a_training_alone_mixes_a_soup_of_three_rates(suite, recipe):
    mixed = trained("uniform-soup", suite, replace(recipe, learning_rate=3e-4, epochs=1))
    parts = [
        trained("full", suite, replace(recipe, learning_rate=rate, epochs=1)) for rate in (1e-4, 3e-4, 9e-4)
    ]
    for name in ("weight", "bias"):
        heads = torch.stack([part.classifier.head.get_parameter(name) for part in parts])
        assert torch.allclose(mixed.classifier.head.get_parameter(name), heads.mean(0), atol=1e-6)
    assert mixed.record.learning_rate is None


def test_training_cannot_read_a_test_set(suite):
    sealed = suite.sealed()
    for read in (
        lambda: sealed.ood["sketch"],
        lambda: list(sealed.ood),
        lambda: len(sealed.id_test),
        lambda: dict(sealed.id_test.items()),
    ):
        with pytest.raises(LeakError, match="nothing may be chosen on a test set"):
            read()
    assert sealed.id_val is suite.id_val


def test_selection_on_ood_is_an_error(suite, recipe, encoder):
    with pytest.raises(LeakError):
        Evaluator(suite.sealed(), encoder)
    with pytest.raises(ValueError, match="id_val"):
        Selection(split="sketch", rule="the best on sketch", n=40)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="id_val"):
        Validator(replace(suite.sealed(), id_val=None), encoder, recipe)


class Epochs:
    """An average that is a number, and validation that knows its accuracy."""

    def __init__(self, accuracies):
        self.accuracies = accuracies
        self.state = {"w": torch.zeros(1)}
        self.loaded = None

    def applied(self):
        from contextlib import nullcontext

        return nullcontext()

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.loaded = float(state["w"])

    def validated(self):
        return {"top1": self.accuracies[int(self.state["w"])], "nll": 1.0}


@pytest.mark.parametrize(
    ("accuracies", "best"), [((0.1, 0.9, 0.5), 1), ((0.9, 0.9), 0), ((0.1, 0.2, 0.3), 2)]
)
def test_the_best_epoch_s_average_is_kept_also_across_processes(tmp_path: Path, accuracies, best):
    ema = Epochs(accuracies)
    keeper = BestEpoch(
        ema, ema.validated, HEADLINES["classification"].is_better, folder=tmp_path / "best", resume=False
    )
    for epoch in range(len(accuracies)):
        ema.state = {"w": torch.tensor([float(epoch)])}
        keeper(epoch)
    keeper.restore()
    assert (keeper.epoch, ema.loaded) == (best, float(best))
    again = Epochs(accuracies)
    resumed = BestEpoch(
        again, again.validated, HEADLINES["classification"].is_better, folder=tmp_path / "best", resume=True
    )
    resumed.restore()
    assert again.loaded == float(best)


def test_keeping_the_best_epoch_gives_weights_at_least_as_good_on_validation(suite, recipe, encoder):
    longer = replace(recipe, epochs=4, learning_rate=3e-2)
    validator = Validator(suite, encoder, longer)
    last = validator.metrics(trained("r-adapter", suite, longer).classifier)
    kept = trained("r-adapter", suite, replace(longer, keep="best"))
    assert not validator.headline.is_better(last, validator.metrics(kept.classifier))
    assert kept.record.epoch in (1, 2, 3, 4)


@pytest.fixture(scope="module")
def untrained(suite):
    """The evaluator of the suite and the row of the zero-shot model."""
    fresh = radapter.load("world:tiny")
    evaluator = Evaluator(suite, fresh, environment=Environment(memory=Memory()))
    return evaluator, evaluator.zero_shot(fresh).rows[0]


HEADED = ("linear-probe", "full", "lp-ft", "l2-sp", "mask-fill", "uniform-soup", "wise-ft", "r-adapter+head")


@pytest.mark.parametrize("method", [*HEADED, "r-adapter:cross-entropy"])
def test_alpha_0_of_a_method_with_a_head_is_zero_shot_bitwise_and_after_reloading(
    tmp_path: Path, suite, recipe, untrained, method
):
    evaluator, zero_shot = untrained
    found = trained(method, suite, replace(recipe, epochs=2, learning_rate=1e-2, batch_size=60))
    save_trained(tmp_path, found, alpha=0.5, about={})
    for each in (found, load_trained(tmp_path, radapter.load("world:tiny"))):
        start, middle = evaluator.sweep(each, None, (0.0, 0.5)).rows
        assert (start.id, start.ood) == (zero_shot.id, zero_shot.ood)
        assert middle.id != zero_shot.id


def test_l2_sp_stays_nearer_to_the_base_model_than_full(suite, recipe):
    def distance(method: str) -> float:
        found = trained(method, suite, replace(recipe, ema_decay=0.0))
        after = found.classifier.state_dict()
        towers = [name for name, tensor in found.before.items() if tensor.ndim > 1]
        return sum(float((after[name] - found.before[name]).square().sum()) for name in towers) ** 0.5

    # 0.95 in these eight steps; a weight of 0.01 gives 0.99
    assert distance("l2-sp") < 0.97 * distance("full")


def test_a_signal_stops_a_validation_between_two_batches(suite, recipe, encoder):
    stop = StopSignal()
    stop.asked = True
    validator = Validator(suite, encoder, recipe, Environment(stop=stop))
    with pytest.raises(Interrupted, match="while validating"):
        validator.metrics(Classifier(encoder, None))
