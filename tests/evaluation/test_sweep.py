"""Evaluating a set, every alpha on each batch, and the rule that chooses one."""

import sys
from collections import Counter
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.errors import ConfigError, DataError
from radapter.evaluation import (
    ALPHAS,
    ClassificationMeasure,
    Interpolation,
    Measured,
    alpha_sweep,
    classification_metrics,
    measured,
    sweep,
)
from radapter.zeroshot import LinearHead

MODULE = sys.modules[sweep.__module__]  # the package exports the function under this name


class Batch(NamedTuple):
    pixels: Tensor
    labels: Tensor
    groups: Tensor | None = None

    @property
    def indices(self) -> Tensor:
        return torch.arange(len(self.labels))


class TinyEncoder(nn.Module):
    """A real image tower of one Linear, with dropout so that its mode shows."""

    def __init__(self, dim=6):
        super().__init__()
        self.tower = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 2 * 2, dim))
        self.seen = Counter()

    def weights_changed(self):
        """Nothing is kept of its texts."""

    def encode_image(self, pixels):
        self.seen[tuple(pixels.flatten()[:2].tolist())] += 1
        return self.tower(pixels)


@pytest.fixture
def tuned():
    """A fine-tuned encoder, its trained head of 4 classes, and the way between both ends."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"encoder": TinyEncoder(), "head": LinearHead(torch.randn(4, 6))})
    original = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model["encoder"], model["head"], Interpolation(model, original, model.state_dict())


def batches(count=3, size=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        pixels = torch.randn(size, 3, 2, 2, generator=generator)
        yield Batch(pixels, torch.randint(4, (size,), generator=generator))


def evaluated(encoder, head, batches, *, classes=None, name="set"):
    measure = ClassificationMeasure(encoder, lambda: head, batches, classes)
    return measured(encoder, measure, name=name).metrics


def test_evaluation_is_the_metrics_of_a_linear_layer_over_unit_features(tuned):
    encoder, head, _ = tuned
    result = evaluated(encoder, head, batches())
    pixels = torch.cat([batch.pixels for batch in batches()])
    labels = torch.cat([batch.labels for batch in batches()])
    encoder.eval()
    assert head.bias.any()
    logits = F.linear(F.normalize(encoder.encode_image(pixels), dim=-1), head.weight, head.bias)
    assert result == pytest.approx(classification_metrics(logits, labels), rel=1e-5)


def test_evaluation_leaves_every_submodule_in_its_mode(tuned):
    encoder, head, _ = tuned
    encoder.train()
    encoder.tower[2].eval()
    before = [module.training for module in encoder.modules()]
    evaluated(encoder, head, batches())
    assert [module.training for module in encoder.modules()] == before


def test_sweep_equals_evaluating_at_each_alpha(tuned):
    encoder, head, interpolation = tuned
    swept = alpha_sweep(
        encoder, interpolation.at, lambda: head, {"a": batches(), "b": batches(seed=2)}, (0, 0.3, 1)
    )
    for alpha, sets in swept.items():
        with interpolation.at(alpha):
            assert sets["a"] == evaluated(encoder, head, batches())
            assert sets["b"] == evaluated(encoder, head, batches(seed=2))


@pytest.mark.parametrize("cache_mib", [0, 1e-4, 256])
def test_each_batch_is_read_once_and_seen_once_at_each_alpha(tuned, cache_mib, monkeypatch):
    monkeypatch.setattr(MODULE, "CACHE_MIB", cache_mib)
    encoder, head, interpolation = tuned
    read = Counter()

    def reading():
        for batch in batches():
            read[tuple(batch.pixels.flatten()[:2].tolist())] += 1
            yield batch

    alpha_sweep(encoder, interpolation.at, lambda: head, {"a": reading()})
    assert list(read.values()) == [1] * 3
    assert list(encoder.seen.values()) == [len(ALPHAS)] * 3


def test_agreement_with_the_zero_shot_model_is_found_on_the_way_and_kept(tuned):
    encoder, head, interpolation = tuned
    zero_shot: dict[str, Tensor] = {}

    def swept(*alphas):
        return alpha_sweep(
            encoder, interpolation.at, lambda: head, {"a": batches()}, alphas, zero_shot=zero_shot
        )

    first = swept(1.0, 0.0)
    assert first[0.0]["a"]["agreement"] == 1
    assert first[1.0]["a"]["agreement"] < 1
    assert swept(1.0)[1.0] == first[1.0]


def test_how_much_is_held_does_not_change_the_result(tuned, monkeypatch):
    encoder, head, interpolation = tuned
    at_once = alpha_sweep(encoder, interpolation.at, lambda: head, {"a": batches()})
    monkeypatch.setattr(MODULE, "CACHE_MIB", 0)
    assert alpha_sweep(encoder, interpolation.at, lambda: head, {"a": batches()}) == at_once


def test_known_results_are_taken_over_and_not_computed(tuned):
    encoder, head, interpolation = tuned
    known = {0.0: {"a": {"top1": 0.125, "n": 12}}}
    measures = {"a": ClassificationMeasure(encoder, lambda: head, batches())}
    swept = sweep(encoder, interpolation.at, measures, (0, 1), known=known)
    assert swept[0]["a"] == {"top1": 0.125, "n": 12}
    assert list(encoder.seen.values()) == [1] * 3


def test_pseudo_values_of_an_accuracy_are_its_hits_at_every_alpha_computed(tuned):
    encoder, head, interpolation = tuned
    found: dict[tuple[float, str], Measured] = {}
    measures = {"a": ClassificationMeasure(encoder, lambda: head, list(batches()))}
    known = {0.0: {"a": {"top1": 0.125, "n": 12}}}
    swept = sweep(encoder, interpolation.at, measures, (0.0, 0.5, 1.0), known=known, kept=found)
    assert found.keys() == {(0.5, "a"), (1.0, "a")}
    for (alpha, _), (_, values, _) in found.items():
        assert (values.dtype, values.shape, set(values.tolist())) == (torch.float32, (12,), {0.0, 1.0})
        assert float(values.mean()) == pytest.approx(swept[alpha]["a"]["top1"])


def test_the_model_is_left_as_it_was(tuned):
    encoder, head, interpolation = tuned
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    alpha_sweep(encoder, interpolation.at, lambda: head, {"a": batches()}, (0, 0.5))
    assert encoder.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_sweep_restricts_a_set_to_its_classes(tuned):
    encoder, head, interpolation = tuned
    only = torch.tensor([1, 3])

    def two_classes():
        return (Batch(batch.pixels, only[batch.labels % 2]) for batch in batches())

    arguments = (encoder, interpolation.at, lambda: head)
    swept = alpha_sweep(*arguments, {"a": two_classes()}, (1,), classes={"a": only})
    assert swept[1]["a"] == evaluated(encoder, head, two_classes(), classes=only)
    assert swept[1]["a"]["top5"] == 1.0


def test_progress_tells_every_image_at_every_alpha(tuned):
    encoder, head, interpolation = tuned
    counted = Counter()
    alpha_sweep(
        encoder,
        interpolation.at,
        lambda: head,
        {"a": batches()},
        (0, 1),
        progress=lambda name, images: counted.update({name: images}),
    )
    assert counted == {"a": 24}


def test_a_set_without_an_image_is_named(tuned):
    encoder, head, interpolation = tuned
    with pytest.raises(DataError, match="'b' holds none"):
        alpha_sweep(encoder, interpolation.at, lambda: head, {"b": []}, (1,))
    with pytest.raises(DataError, match="'val' holds none"):
        evaluated(encoder, head, [], name="val")


def test_an_alpha_outside_its_range_stops_before_any_batch_is_read(tuned):
    encoder, head, interpolation = tuned
    unread = batches()
    with pytest.raises(ConfigError, match=r"alpha must be in \[0, 1\]"):
        alpha_sweep(encoder, interpolation.at, lambda: head, {"a": unread}, (0, 1.5))
    assert len(list(unread)) == 3
