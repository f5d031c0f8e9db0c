import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import soups as reference

from radapter.errors import ConfigError
from radapter.methods import greedy_soup, uniform_soup


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"a": torch.tensor([value], dtype=torch.float64)}


def test_a_uniform_soup_is_the_mean_and_keeps_dtypes():
    mixed = uniform_soup(
        [
            {"a": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)},
            {"a": torch.tensor([3.0, 6.0]), "n": torch.tensor(4)},
        ]
    )
    assert mixed["a"].tolist() == [2.0, 4.0]
    assert mixed["n"].item() == 3


def test_a_uniform_soup_in_half_precision_sums_wide():
    halves = [{"a": torch.tensor([60000.0], dtype=torch.float16)}] * 3
    assert uniform_soup(halves)["a"].item() == 60000.0


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=7),
    st.integers(-20, 20),
)
def test_a_greedy_soup_is_that_of_the_released_code(models, target):
    def accuracy(value: float) -> float:
        return round(1 - abs(value - target) / 100, 6)

    mixed, chosen = greedy_soup(
        [weights(float(m)) for m in models], lambda w: accuracy(float(w["a"].double()))
    )
    assert list(chosen) == reference.greedy_soup([float(m) for m in models], accuracy)
    assert mixed["a"].item() == pytest.approx(sum(models[i] for i in chosen) / len(chosen))


def test_a_greedy_soup_leaves_out_what_makes_it_worse_by_hand():
    # 0 has 0.9, 4 has 0.8, 10 has 0.5; the mean of 0 and 4 has 0.95: in; that of all three has 0.7: out
    def score(w):
        return {0.0: 0.9, 4.0: 0.8, 10.0: 0.5, 2.0: 0.95}.get(round(float(w["a"]), 2), 0.7)

    mixed, chosen = greedy_soup([weights(10.0), weights(0.0), weights(4.0)], score)
    assert chosen == (1, 2)
    assert mixed["a"].item() == 2.0


def test_a_greedy_soup_leaves_out_what_changes_nothing():
    mixed, chosen = greedy_soup([weights(1.0), weights(3.0)], lambda w: 0.5)
    assert chosen == (0,)
    assert mixed["a"].item() == 1.0


def test_soups_of_other_architectures_are_refused():
    with pytest.raises(ConfigError, match="one architecture"):
        uniform_soup([weights(1.0), {"a": torch.zeros(2)}])
    with pytest.raises(ConfigError, match="Got none"):
        uniform_soup([])
