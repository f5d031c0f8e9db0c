"""The contact sheet shows every region in its place."""

import numpy as np
import pytest

from radapter.data import MinedRegions, open_masks
from radapter.segmentation.mining import RegionFolder, contact_sheet, cut_masks
from radapter.segmentation.mining.sheet import evenly


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet") / "cut"
    dataset = open_masks({"world": "scenes", "size": 6, "background": False})
    cut_masks(dataset, RegionFolder(folder, {}))
    return MinedRegions(folder)


def test_cards_are_taken_at_even_distances():
    assert evenly(7, 3) == [0, 2, 4]
    assert evenly(2, 60) == [0, 1]


def test_the_page_has_a_card_for_every_region(regions):
    page = np.asarray(contact_sheet(regions, columns=3))
    rows = -(-len(regions) // 3)
    assert page.shape == (10 + rows * (112 + 34 + 10), 10 + 3 * 122, 3)
    first = page[10:122, 10:122].reshape(-1, 3)
    assert len(np.unique(first, axis=0)) > 2  # more than the checks


def test_fewer_cards_make_a_smaller_page(regions):
    assert contact_sheet(regions, cards=2, columns=3).height < contact_sheet(regions, columns=3).height
