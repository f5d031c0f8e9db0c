"""Folders of regions: read in the order of the shards, and refused where their parts do not fit."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import EvalLoader, MinedRegions
from radapter.data.shards import Sample, read_shards, write_shards
from radapter.errors import DataError, ImageError
from radapter.storage import write_json

NOUNS = ("dog", "grass", "traffic light")


def cutout(red, mode="RGBA"):
    """4 x 2 pixels, the left half inside the mask."""
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[..., 0], pixels[:, :2, 3] = red, 255
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, format="png")
    return stream.getvalue()


def record(noun_id, image, **changes):
    return {"image": image, "key": 100, "noun_id": noun_id, "noun": NOUNS[noun_id], "score": 0.3, **changes}


def written(folder, regions):
    """A folder with a shard a region."""
    items = [
        [Sample(str(n), {"png": png, "json": json.dumps(about).encode()})]
        for n, (about, png) in enumerate(regions)
    ]
    write_shards(folder, lambda start: items[start:], len(items), about={}, shard_size=1)
    write_json(folder / "nouns.json", {"nouns": list(NOUNS)})
    return folder


@pytest.fixture
def folder(tmp_path):
    """Three regions of two images."""
    others = [(record(0, "y", key=-7), cutout(20)), (record(2, "x"), cutout(30))]
    return written(tmp_path / "mined", [(record(2, "x"), cutout(10)), *others])


def test_regions_come_in_the_order_of_their_shards(folder):
    regions = MinedRegions(folder)
    assert len(regions) == 3
    assert regions.nouns == NOUNS
    assert regions.labels.tolist() == [2, 0, 2]
    assert regions.groups.tolist() == [0, 1, 0]
    assert regions.keys.tolist() == [100, -7, 100]
    assert regions.counts == {"traffic light": 2, "dog": 1}
    assert regions.where(2).endswith("00002.tar::2.png")
    assert regions.records[0]["score"] == 0.3


def test_the_mask_is_the_alpha_channel_and_the_background_is_chosen(folder):
    regions = MinedRegions(folder, background=(1, 2, 3))
    assert np.asarray(regions.cutout(0))[:, :, 0].tolist() == [[10] * 4] * 2  # also outside the mask
    assert np.asarray(regions.image(0)).tolist() == [[[10, 0, 0]] * 2 + [[1, 2, 3]] * 2] * 2


def test_regions_are_loaded_as_any_image_set(folder):
    loaded = list(EvalLoader(MinedRegions(folder), lambda image: torch.ones(3, 1, 1), batch_size=2))
    assert [batch.labels.tolist() for batch in loaded] == [[2, 0], [2]]
    assert [batch.groups.tolist() for batch in loaded] == [[0, 1], [0]]


@pytest.mark.parametrize("file", ["nouns.json", "sizes.json"])
def test_a_folder_without_one_of_its_lists_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(DataError, match=file):
        MinedRegions(folder)


def test_an_unfinished_folder_is_refused(folder):
    shards = read_shards(folder)
    content = json.loads((folder / "sizes.json").read_text())
    content["written"]["items"] = [3, 5]
    write_json(folder / "sizes.json", content)
    with pytest.raises(DataError, match=r"must be finished.* 3 of 5 images"):
        MinedRegions(folder)
    assert len(shards) == 3


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (record(0, "x", noun="cat"), "must be at its noun_id"),
        (record(0, "x") | {"noun_id": 3}, "must be whole"),
        (record(0, "x") | {"noun_id": -3}, "must be at its noun_id"),
        (record(0, 7), "must be text"),
        (record(0, "x", key="k"), "key a number"),
        ([1], "must be whole"),
    ],
)
def test_a_record_that_does_not_fit_the_nouns_is_refused(tmp_path, about, why):
    with pytest.raises(DataError, match=why):
        MinedRegions(written(tmp_path / "mined", [(about, cutout(0))]))


def test_a_region_without_its_image_is_refused(tmp_path):
    items = [[Sample("0", {"json": json.dumps(record(0, "x")).encode()})]]
    write_shards(tmp_path, lambda start: items, 1, about={})
    write_json(tmp_path / "nouns.json", {"nouns": list(NOUNS)})
    with pytest.raises(DataError, match="1 of them incomplete"):
        MinedRegions(tmp_path)


def test_a_png_without_alpha_is_refused_when_it_is_read(tmp_path):
    regions = MinedRegions(written(tmp_path / "mined", [(record(2, "x"), cutout(0, mode="RGB"))]))
    with pytest.raises(ImageError, match="must be RGBA"):
        regions.image(0)
