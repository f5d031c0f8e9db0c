"""Temperature scaling: its minimum, its limits, and the temperature between two alphas."""

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from radapter.evaluation.calibration import (
    HIGHEST,
    fitted_temperature,
    probabilities,
    temperature_at,
)


def drawn(count: int, temperature: float, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose labels follow softmax(logits / temperature)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(count, 7, generator=generator)
    return logits, torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 20.0])
def test_the_temperature_has_the_lowest_likelihood_that_a_search_finds(temperature):
    logits, labels = drawn(400, temperature)
    searched = minimize_scalar(
        lambda log: float(cross_entropy(logits.double() / torch.e**log, labels)),
        bounds=(-4.6, 4.6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    # the search compares values, which are flat at the minimum: half of their digits
    assert fitted_temperature(logits, labels) == pytest.approx(torch.e**searched.x, rel=1e-6)


def test_the_temperature_of_drawn_labels_is_found():
    assert fitted_temperature(*drawn(20_000, 2.0)) == pytest.approx(2.0, rel=0.05)


def test_a_factor_on_the_logits_is_a_factor_on_the_temperature():
    logits, labels = drawn(300, 1.5)
    assert fitted_temperature(8 * logits, labels) == pytest.approx(8 * fitted_temperature(logits, labels))


def test_logits_that_are_always_right_have_no_best_temperature():
    assert fitted_temperature(torch.eye(3), torch.arange(3)) == 1.0


def test_logits_that_say_nothing_get_the_highest_temperature():
    logits = torch.tensor([[5.0, 0.0], [5.0, 0.0]])
    assert fitted_temperature(logits, torch.tensor([1, 1])) == pytest.approx(HIGHEST, rel=1e-6)


def test_the_temperature_changes_no_order():
    logits, _ = drawn(50, 1.0)
    for temperature in (0.2, 7.0):
        found = probabilities(logits, temperature)
        assert torch.equal(found.argsort(1), logits.argsort(1))
        assert torch.allclose(found.sum(1), torch.ones(50).double())


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.0, 1.0), (0.5, 2.0), (0.25, 2**0.5), (0.75, 8**0.5), (1.0, 4.0)]
)
def test_between_two_alphas_the_logarithm_is_linear(alpha, expected):
    assert temperature_at({0.0: 1.0, 1.0: 4.0, 0.5: 2.0}, alpha) == pytest.approx(expected)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 3.0), (0.3, 3.0), (1.0, 5.0)])
def test_beyond_the_known_alphas_the_temperature_stays(alpha, expected):
    assert temperature_at({0.3: 3.0, 0.8: 5.0}, alpha) == expected


def test_without_temperatures_there_is_none():
    assert temperature_at({}, 0.5) is None
