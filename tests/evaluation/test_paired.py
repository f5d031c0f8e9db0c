"""The paired standard error of two models, and the choice made with it."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import selection as literal

from radapter.evaluation import paired_standard_error, smallest_within_paired_error


def hits(right: int, of: int = 100) -> torch.Tensor:
    """Pseudo-values of an accuracy: the first `right` of `of` images are right."""
    return (torch.arange(of) < right).float()


def choose(*rights: int, of: int = 100):
    alphas = [i / 10 for i in range(len(rights))]
    return smallest_within_paired_error(
        alphas, [right / of for right in rights], [hits(r, of) for r in rights]
    )


def test_the_error_of_two_accuracies_counts_discordant_pairs():
    first, second = torch.zeros(50), torch.zeros(50)
    first[:9] = 1  # 9 images that only the first model gets right
    second[9:13] = 1  # 4 that only the second does
    assert paired_standard_error(first, second) == pytest.approx(
        sqrt((9 + 4 - (9 - 4) ** 2 / 50) / (50 * 49))
    )


def test_a_difference_on_the_same_images_is_known_better_than_either_score():
    assert paired_standard_error(hits(80), hits(76)) < sqrt(0.8 * 0.2 / 100) / 2


def test_the_smallest_alpha_within_one_paired_error_is_chosen():
    # the best is 0.80 at n = 100. One image less is within its error, 0.01; four are not: 0.04 > 0.0197
    found = choose(50, 76, 79, 80, 80)
    assert (found.value, found.score, found.best, found.best_score) == (0.2, 0.79, 0.3, 0.80)
    assert found.error == pytest.approx(0.01)


def test_equals_are_the_best_at_the_smallest_alpha():
    assert choose(70, 80, 80).best == 0.1


@pytest.mark.parametrize(("times", "chosen"), [(1, 0.5), (100, 1.0)])
def test_more_images_allow_less_slack(times, chosen):
    # of 50 images 3 are right at alpha 1 alone and 2 at alpha 0.5 alone
    half, whole = torch.ones(50), torch.ones(50)
    half[:3] = whole[3:5] = 0
    values = [half.repeat(times), whole.repeat(times)]
    assert smallest_within_paired_error([0.5, 1.0], [0.94, 0.96], values).value == chosen


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=6))
def test_the_choice_is_the_literal_rule(models):
    values = {i / 10: [float(right) for right in model] for i, model in enumerate(models)}
    scores = {alpha: sum(of) / 6 for alpha, of in values.items()}
    found = smallest_within_paired_error(
        list(scores), list(scores.values()), [torch.tensor(of) for of in values.values()]
    )
    assert found.value == literal.smallest_within(scores, values)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="one length of at least 1"):
        smallest_within_paired_error([0.0, 1.0], [0.5], [hits(1), hits(2)])
    with pytest.raises(ValueError, match="Use the same images"):
        paired_standard_error(hits(1, of=10), hits(1, of=11))
