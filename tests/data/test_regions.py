"""Folders of regions: read in the order of the shards, and refused where their parts do not fit."""

import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data.loading import batches
from radapter.data.regions import MinedRegions
from radapter.errors import DataError, ImageError
from radapter.storage import write_json

NOUNS = ("dog", "grass", "traffic light")


def cutout(red, *, mode="RGBA"):
    """4 x 2 pixels, the left half inside the mask."""
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[..., 0], pixels[:, :2, 3] = red, 255
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, format="png")
    return stream.getvalue()


def record(noun_id, image, /, **changes):
    return {"image": image, "noun_id": noun_id, "noun": NOUNS[noun_id], "score": 0.3} | changes


def shard(path, regions):
    with tarfile.open(path, "w") as file:
        for key, (about, png) in regions.items():
            for extension, content in (("json", json.dumps(about).encode()), ("png", png)):
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path):
    """Two shards: three regions of two images."""
    shard(tmp_path / "b.tar", {"0": (record(2, "x"), cutout(10)), "1": (record(0, "y"), cutout(20))})
    shard(tmp_path / "a.tar", {"2": (record(2, "x"), cutout(30))})
    write_json(tmp_path / "sizes.json", {"b.tar": 2, "a.tar": 1})
    write_json(tmp_path / "nouns.json", {"nouns": list(NOUNS)})
    return tmp_path


def test_regions_come_in_the_order_of_sizes_json(folder):
    regions = MinedRegions(folder)
    assert len(regions) == 3
    assert regions.nouns == NOUNS
    assert regions.labels.tolist() == [2, 0, 2]
    assert regions.groups.tolist() == [0, 1, 0]
    assert len(regions.keys.unique()) == 3
    assert regions.counts == {"traffic light": 2, "dog": 1}
    assert regions.where(2).endswith("a.tar::2.png")
    assert regions.records[0]["score"] == 0.3


def test_the_mask_is_the_alpha_channel_and_the_background_is_chosen(folder):
    regions = MinedRegions(folder, background=(1, 2, 3))
    assert np.asarray(regions.cutout(0))[:, :, 0].tolist() == [[10] * 4] * 2  # also outside the mask
    assert np.asarray(regions.image(0)).tolist() == [[[10, 0, 0]] * 2 + [[1, 2, 3]] * 2] * 2


def test_regions_are_loaded_as_any_image_set(folder):
    loaded = list(batches(MinedRegions(folder), lambda image: torch.full((3, 1, 1), 1.0), batch_size=2))
    assert [batch.labels.tolist() for batch in loaded] == [[2, 0], [2]]
    assert [batch.groups.tolist() for batch in loaded] == [[0, 1], [0]]


@pytest.mark.parametrize("file", ["nouns.json", "sizes.json"])
def test_an_unfinished_folder_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(DataError, match=f"must hold {file}"):
        MinedRegions(folder)


@pytest.mark.parametrize(
    ("about", "why"),
    [
        (record(0, "x", noun="cat"), "must stand at its noun_id"),
        (record(0, "x", noun_id=3), "must be whole"),
        (record(0, "x", noun_id=-3), "must stand at its noun_id"),
        (record(0, 7), "must be text"),
        ([1], "must be whole"),
    ],
)
def test_a_record_that_does_not_fit_the_nouns_is_refused(folder, about, why):
    shard(folder / "a.tar", {"2": (about, cutout(0))})
    with pytest.raises(DataError, match=why):
        MinedRegions(folder)


def test_a_shard_with_another_number_of_regions_is_refused(folder):
    write_json(folder / "sizes.json", {"b.tar": 2, "a.tar": 2})
    with pytest.raises(DataError, match="holds 1 of 2"):
        MinedRegions(folder)


def test_a_shard_outside_the_folder_is_not_opened(folder):
    write_json(folder / "sizes.json", {"../b.tar": 2})
    with pytest.raises(DataError, match="must map shards to numbers"):
        MinedRegions(folder)


def test_a_folder_without_a_region_is_refused(folder):
    write_json(folder / "sizes.json", {})
    with pytest.raises(DataError, match="must hold one"):
        MinedRegions(folder)


def test_a_png_without_alpha_is_refused_when_it_is_read(folder):
    shard(folder / "a.tar", {"2": (record(0, "x"), cutout(0, mode="RGB"))})
    with pytest.raises(ImageError, match="must be RGBA"):
        MinedRegions(folder).image(2)
