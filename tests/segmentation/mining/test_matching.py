"""Which region shows which noun: cases by hand, and a reference on random cosines."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import matching as reference

from radapter.segmentation.mining import Floors, Match, best_regions
from radapter.segmentation.mining.matching import middle_floors

APART = torch.tensor([[False, True], [True, False]])


def test_two_nouns_by_hand():
    cosines = torch.tensor([[0.30, 0.10], [0.20, 0.25], [0.28, 0.05]], dtype=torch.float64)
    first, second = best_regions(cosines, APART, torch.eye(3))
    assert first == (0, 0, 0.30, pytest.approx(0.02))  # region 2 has the same noun nearly as well
    assert second == (1, 1, 0.25, pytest.approx(0.05))  # the other noun fits region 1 nearly as well


def test_regions_that_overlap_are_no_rivals():
    cosines = torch.tensor([[0.30], [0.29], [0.10]], dtype=torch.float64)
    overlaps = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    (match,) = best_regions(cosines, torch.zeros(1, 1, dtype=torch.bool), overlaps)
    assert match.margin == pytest.approx(0.20)


def test_nouns_of_different_captions_are_no_rivals():
    cosines = torch.tensor([[0.30, 0.29]])
    apart = torch.zeros(2, 2, dtype=torch.bool)
    assert [match.margin for match in best_regions(cosines, apart, torch.ones(1, 1))] == [math.inf] * 2


def test_without_a_region_nothing_matches():
    assert best_regions(torch.zeros(0, 2), APART, torch.zeros(0, 0)) == []


@given(st.integers(0, 9), st.integers(1, 6), st.integers(0, 2**31))
def test_matches_equal_the_reference(regions, nouns, seed):
    generator = torch.Generator().manual_seed(seed)
    # few values, so that equal ones occur
    cosines = torch.randint(-3, 4, (regions, nouns), generator=generator).double() / 4
    apart = torch.rand(nouns, nouns, generator=generator) < 0.5
    overlaps = torch.rand(regions, regions, generator=generator).fill_diagonal_(1.0)
    found = best_regions(cosines, apart, overlaps)
    assert [tuple(match[1:]) for match in found] == reference.best_regions(
        cosines.tolist(), apart.tolist(), overlaps.tolist()
    )


def test_floors_admit_what_reaches_both():
    floors = Floors(0.2, 0.05)
    assert floors.admit(Match(0, 0, 0.2, 0.05))
    assert floors.admit(Match(0, 0, 0.3, math.inf))
    assert not floors.admit(Match(0, 0, 0.19, 0.5))
    assert not floors.admit(Match(0, 0, 0.9, 0.04))


def test_middle_floors_are_reached_by_half():
    matches = [Match(0, 0, 0.1 * n, 0.01 * n) for n in (4, 1, 3, 2)] + [Match(0, 0, 0.5, math.inf)]
    floors = middle_floors(matches)
    assert floors == (pytest.approx(0.3), pytest.approx(0.03))
    assert sum(match.score >= floors.score for match in matches) == 3


def test_without_matches_the_floors_admit_everything():
    assert middle_floors([]) == (-2.0, -2.0)


def test_a_tie_is_no_lead_unless_the_margin_is_negative():
    tie = Match(0, 0, 0.4, 0.0)
    assert not Floors(0.3, 0.0).admit(tie)
    assert Floors(0.3, -1.0).admit(tie)
