from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radapter.evaluation.frontiers import frontier_gap, ood_at

TRIANGLE = [(0.6, 0.5), (0.8, 0.7), (0.9, 0.4)]  # rises to (0.8, 0.7), then loses 3 OOD for each ID
points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6)


@pytest.mark.parametrize(
    ("level", "best"), [(0.5, 0.7), (0.7, 0.7), (0.8, 0.7), (0.85, 0.55), (0.9, 0.4), (0.95, None)]
)
def test_ood_at_an_id_level_by_hand(level, best):
    assert ood_at(TRIANGLE, level) == (best if best is None else pytest.approx(best))


def test_a_path_that_turns_back_counts_at_its_best():
    assert ood_at([(0.6, 0.5), (0.9, 0.6), (0.7, 0.9)], 0.8) == pytest.approx(0.75)


def test_a_path_shifted_up_is_above_by_the_shift():
    shifted = [TRIANGLE[0], *((id_, ood + 0.1) for id_, ood in TRIANGLE[1:])]
    gap = frontier_gap(shifted, TRIANGLE)
    assert gap == pytest.approx(0.1)
    assert frontier_gap(TRIANGLE, shifted) == pytest.approx(-gap)


def test_the_gap_is_over_the_upper_half_of_what_both_reach():
    # the short path ends at ID 0.8: levels 0.7 to 0.8, where the long one offers 0.7 and the short one 0.6
    assert frontier_gap(TRIANGLE, [(0.6, 0.5), (0.8, 0.6)]) == pytest.approx(0.1)


def test_no_gain_of_id_has_no_frontier():
    assert frontier_gap([(0.6, 0.5), (0.5, 0.4)], TRIANGLE) is None


@given(points, st.floats(0, 1), st.floats(0, 1))
def test_more_id_never_offers_more_ood(path, first, second):
    low, high = ood_at(path, min(first, second)), ood_at(path, max(first, second))
    assert high is None or (low is not None and low >= high - 1e-12)


@given(points, st.floats(0, 1))
def test_ood_at_is_the_maximum_over_a_dense_path(path, level):
    dense = [
        (a[0] + (b[0] - a[0]) * t / 500, a[1] + (b[1] - a[1]) * t / 500)
        for a, b in pairwise(path)
        for t in range(501)
    ]
    reached = [ood for id_, ood in dense if id_ >= level]
    found = ood_at(path, level)
    if reached:
        assert found is not None
        assert found >= max(reached) - 1e-9
