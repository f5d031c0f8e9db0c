"""OOD at fixed ID levels, hypervolume and bootstrap: by hand, and against brute force."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radapter.errors import ConfigError
from radapter.evaluation.frontiers import (
    hypervolume,
    id_levels,
    ood_at,
    oods_at,
    percentile_interval,
    resampled_means,
)

TRIANGLE = [(0.6, 0.5), (0.8, 0.7), (0.9, 0.4)]  # rises to (0.8, 0.7), then loses 3 OOD for each ID
points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6)


def dense(path):
    """Points all along a path."""
    return [path[0]] + [
        (a[0] + (b[0] - a[0]) * t / 500, a[1] + (b[1] - a[1]) * t / 500)
        for a, b in pairwise(path)
        for t in range(501)
    ]


def test_levels_are_shares_of_the_best_gain():
    assert id_levels(0.6, 0.8) == pytest.approx((0.65, 0.7, 0.75, 0.78))


def test_without_a_gain_there_is_no_level():
    assert id_levels(0.6, 0.6) == ()


@pytest.mark.parametrize(
    ("level", "best"), [(0.5, 0.7), (0.7, 0.7), (0.8, 0.7), (0.85, 0.55), (0.9, 0.4), (0.95, None)]
)
def test_ood_at_an_id_level_by_hand(level, best):
    assert ood_at(TRIANGLE, level) == (best if best is None else pytest.approx(best))


def test_a_path_that_turns_back_counts_at_its_best():
    assert ood_at([(0.6, 0.5), (0.9, 0.6), (0.7, 0.9)], 0.8) == pytest.approx(0.75)


def test_a_path_needs_a_point():
    with pytest.raises(ConfigError, match="at least one point"):
        ood_at([], 0.5)


@given(points, st.floats(0, 1), st.floats(0, 1))
def test_more_id_never_offers_more_ood(path, first, second):
    low, high = ood_at(path, min(first, second)), ood_at(path, max(first, second))
    assert high is None or (low is not None and low >= high - 1e-12)


@given(points, st.floats(0, 1))
def test_ood_at_is_the_maximum_over_a_dense_path(path, level):
    reached = [ood for id_, ood in dense(path) if id_ >= level]
    found = ood_at(path, level)
    if reached:
        assert found is not None
        assert found >= max(reached) - 1e-9


def test_many_paths_are_read_as_each_of_them():
    paths = np.random.default_rng(0).uniform(size=(50, 5, 2))
    found = oods_at(paths[:, :, 0], paths[:, :, 1], 0.7)
    each = [ood_at([tuple(point) for point in path], 0.7) for path in paths]
    assert found == pytest.approx([-np.inf if value is None else value for value in each])


def test_hypervolume_of_one_point_is_its_rectangle():
    assert hypervolume([(0.8, 0.6)], (0.5, 0.4)) == pytest.approx(0.3 * 0.2 / (0.5 * 0.6))


def test_hypervolume_by_hand():
    # 0.3 above the floor up to ID 0.8, then down to 0.0 at 0.9
    area = 0.2 * 0.3 + 0.1 * 0.3 / 2
    assert hypervolume(TRIANGLE, (0.6, 0.4)) == pytest.approx(area / (0.4 * 0.6))


def test_what_lies_below_the_floor_counts_nothing():
    assert hypervolume([(0.6, 0.5), (0.8, 0.1)], (0.6, 0.3)) == pytest.approx(0.1 * 0.2 / 2 / (0.4 * 0.7))
    assert hypervolume([(0.5, 0.9)], (0.6, 0.3)) == 0.0


@given(points, st.floats(0, 0.9), st.floats(-0.2, 0.9))
def test_hypervolume_is_the_area_counted_on_a_grid(path, id_floor, ood_floor):
    steps = (np.arange(2000) + 0.5) / 2000
    levels = id_floor + (1 - id_floor) * steps
    ids, oods = np.array(dense(path)).T
    order = np.argsort(ids)
    best = np.maximum.accumulate(oods[order][::-1])[::-1]  # the best OOD at this ID or more
    place = np.searchsorted(ids[order], levels)
    above = np.append(best, ood_floor)[place].clip(min=ood_floor) - ood_floor
    counted = above.mean() / (1 - ood_floor)
    assert hypervolume(path, (id_floor, ood_floor)) == pytest.approx(counted, abs=0.01)


def test_resampled_means_are_those_of_the_drawn_images():
    values = np.random.default_rng(0).uniform(size=(7, 3))
    found = resampled_means(values, number=2, resamples=5)
    counts = np.random.default_rng((20240805, 2)).multinomial(7, [1 / 7] * 7, size=5)
    for row, of_images in enumerate(counts):
        drawn = [image for image, times in enumerate(of_images) for _ in range(times)]
        assert found[row] == pytest.approx(values[drawn].mean(0))


def test_resampling_gives_the_standard_error_of_a_mean():
    values = np.random.default_rng(0).uniform(size=(400, 1))
    spread = resampled_means(values, number=0, resamples=2000).std()
    assert spread == pytest.approx(values.std() / 20, rel=0.05)  # 2000 resamples: 1.6 %


def test_equal_columns_stay_equal_and_sets_are_drawn_apart():
    values = np.random.default_rng(0).uniform(size=(50, 1))
    first = resampled_means(np.hstack([values, values]), number=0)
    assert first[:, 0] == pytest.approx(first[:, 1])
    assert first[:, :1] == pytest.approx(resampled_means(values, number=0))
    assert first[:, :1] != pytest.approx(resampled_means(values, number=1))


def test_an_interval_holds_the_middle_of_the_figures():
    low, high = percentile_interval(np.arange(1000) / 1000)
    assert (low, high) == (pytest.approx(0.025, abs=0.002), pytest.approx(0.975, abs=0.002))


def test_an_interval_that_reaches_below_the_level_is_open():
    figures = np.where(np.arange(1000) < 50, -np.inf, 0.5)
    assert percentile_interval(figures) == (None, 0.5)
