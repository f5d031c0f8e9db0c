"""The figure that counts: per set, over sets, between two models."""

import pytest

from radapter.evaluation import HEADLINES, Headline

HALVES = Headline("rsum", "rsum", 2.0, "mean_rank", 0.5)


def test_score_is_the_metric_as_a_share_of_its_largest_value():
    assert HALVES.score({"rsum": 1.5}) == 0.75
    assert HEADLINES["classification"].score({"top1": 0.5}) == 0.5


def test_mean_counts_each_set_once():
    assert HALVES.mean({"a": {"rsum": 0.5, "n": 10}, "b": {"rsum": 1.5, "n": 1000}}) == 0.5
    with pytest.raises(ValueError, match="at least one set"):
        HALVES.mean({})


def test_forgetting_is_the_loss_of_each_set():
    zero_shot = {"photo": {"rsum": 1.0}, "sketch": {"rsum": 1.5}}
    tuned = {"photo": {"rsum": 1.5}, "sketch": {"rsum": 1.0}}
    assert HALVES.forgetting(zero_shot, tuned) == {"photo": -0.25, "sketch": 0.25}
    with pytest.raises(ValueError, match="Only one of them has"):
        HALVES.forgetting(zero_shot, {"photo": {"rsum": 1.0}})


def test_better_is_a_higher_score_or_the_lower_tie_breaker_and_equals_are_not():
    found = {"rsum": 1.0, "mean_rank": 3.0}
    assert HALVES.is_better(found, None)
    assert HALVES.is_better(found, {"rsum": 0.9, "mean_rank": 1.0})
    assert HALVES.is_better(found, {"rsum": 1.0, "mean_rank": 4.0})
    assert not HALVES.is_better(found, found)
