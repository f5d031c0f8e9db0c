"""Regions cut from masks: every class of an image, exactly."""

import numpy as np
import pytest
import torch

from radapter.data import MinedRegions, open_masks
from radapter.errors import DataError
from radapter.segmentation.mining import RegionFolder, cut_masks


@pytest.fixture(scope="module")
def scenes():
    return open_masks({"world": "scenes", "size": 12, "seed": 4, "background": False})


def cut(folder, dataset, **options):
    cut_masks(dataset, RegionFolder(folder, {}), **options)
    return MinedRegions(folder)


def test_every_class_of_an_image_is_a_region(tmp_path, scenes):
    regions = cut(tmp_path / "cut", scenes, min_area=0.0)
    assert regions.nouns == scenes.classnames
    expected = [label for _, labels, _ in scenes for label in labels.unique().tolist() if label >= 0]
    assert regions.labels.tolist() == expected
    for index, record in enumerate(regions.records):
        labels = scenes[int(regions.groups[index])].labels
        left, top, right, bottom = record["box"]
        mask = torch.from_numpy(np.asarray(regions.cutout(index))[:, :, 3] > 0)
        assert torch.equal(mask, (labels == record["noun_id"])[top:bottom, left:right])
        assert record["area"] == int((labels == record["noun_id"]).sum())
        assert record["score"] is record["margin"] is record["caption"] is None


def test_regions_below_the_area_are_skipped(tmp_path, scenes):
    every = cut(tmp_path / "every", scenes, min_area=0.0)
    large = cut(tmp_path / "large", scenes, min_area=0.1)
    assert [r for r in every.records if r["area"] >= 0.1 * 48 * 48] == list(large.records)
    assert 0 < len(large) < len(every)


def test_the_folder_is_removed_if_every_region_is_too_small(tmp_path, scenes):
    with pytest.raises(DataError, match="at least 99"):
        cut(tmp_path / "cut", scenes, min_area=0.99)
    assert len(cut(tmp_path / "cut", scenes)) > 0


def test_camvid_is_cut(tmp_path, real_data):
    names = [
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign symbol",
        "fence",
        "car",
        "pedestrian",
    ]
    spec = {
        "parquet": str(real_data / "camvid" / "val.parquet"),
        "ignore": 11,
        "classes": [*names, "bicyclist"],
    }
    regions = cut(tmp_path / "cut", open_masks(spec).subset(range(5)))
    assert {"sky", "road", "car"} <= regions.counts.keys()
    assert all(record["size"] == [240, 180] for record in regions.records)
