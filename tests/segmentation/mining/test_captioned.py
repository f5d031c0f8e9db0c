"""Mining captioned scenes: what is written, and that it is the same however often it was interrupted."""

import dataclasses

import numpy as np
import pytest

from radapter.data import MinedRegions
from radapter.errors import DataError, ImageError, RunError
from radapter.segmentation.mining import Floors, RegionFolder, measured_floors, mine_pairs

NONE = Floors(-2.0, -2.0)


def mined(folder, pairs, named, matcher, floors=NONE, **options):
    mine_pairs(pairs, named, matcher, RegionFolder(folder, **{"about": {}, **options}), floors=floors)
    return MinedRegions(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, captioned, named, matcher):
    """Everything, in shards of a few regions."""
    folder = tmp_path_factory.mktemp("whole") / "mined"
    return mined(folder, captioned, named, matcher, shard_size=30_000), folder


def test_every_noun_of_every_image_has_a_region(whole, captioned, named):
    regions, folder = whole
    assert len(regions) == named.total
    assert regions.nouns == named.nouns
    assert len(list(folder.glob("*.tar"))) > 2
    noun_ids = [record["noun_id"] for record in regions.records]
    assert noun_ids == [noun for of_one in named.of_images for noun in of_one.ids]
    assert {record["caption"] for record in regions.records} <= set(captioned.captions)
    assert set(regions.keys.tolist()) == set(captioned.keys.tolist())


def test_a_region_is_its_box_with_the_mask_as_alpha(whole, captioned, named, matcher):
    regions, _ = whole
    (mask, match), *_ = matcher(captioned.image(0), named.of_images[0])
    record, cutout = regions.records[0], np.asarray(regions.cutout(0))
    left, top, right, bottom = record["box"]
    assert np.array_equal(cutout[:, :, 3] > 0, mask[top:bottom, left:right].numpy())
    assert record["area"] == int(mask.sum()) == int((cutout[:, :, 3] == 255).sum())
    assert np.array_equal(cutout[:, :, :3], np.asarray(captioned.image(0))[top:bottom, left:right])
    assert record["size"] == [48, 48]
    assert record["score"] == pytest.approx(match.score, abs=1e-6)


def test_floors_keep_what_reaches_them_and_nothing_else(whole, tmp_path, captioned, named, matcher):
    floors = measured_floors(captioned, named, matcher)
    kept = mined(tmp_path / "mined", captioned, named, matcher, floors)
    expected = [
        record
        for record in whole[0].records
        if record["score"] >= floors.score and (record["margin"] is None or record["margin"] >= floors.margin)
    ]
    assert list(kept.records) == expected
    assert 0 < len(kept) < len(whole[0])


def test_floors_are_measured_on_the_first_images(captioned, named, matcher):
    seen = []
    few = measured_floors(
        captioned, named, matcher, images=3, progress=lambda done, all_: seen.append((done, all_))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert few != measured_floors(captioned, named, matcher)


class StoppedError(Exception):
    """What ends a call in its middle."""


@pytest.mark.parametrize("at", [1, 13])
def test_stopped_and_continued_it_writes_the_same_bytes(whole, tmp_path, captioned, named, matcher, at):
    def stop(done, total):
        if done == at:
            raise StoppedError

    options = {"shard_size": 30_000}
    with pytest.raises(StoppedError):
        mined(tmp_path / "mined", captioned, named, matcher, **options, progress=stop)
    with pytest.raises(DataError, match=r"nouns\.json"):
        MinedRegions(tmp_path / "mined")
    mined(tmp_path / "mined", captioned, named, matcher, **options)
    assert contents(tmp_path / "mined") == contents(whole[1])


@pytest.mark.parametrize("change", [{"floors": Floors(0.1, -2.0)}, {"about": {"model": "other"}}])
def test_a_folder_of_something_else_is_refused(whole, captioned, named, matcher, change):
    before = contents(whole[1])
    with pytest.raises(RunError, match="something else"):
        mined(whole[1], captioned, named, matcher, **{"shard_size": 30_000, **change})
    assert contents(whole[1]) == before


def test_the_folder_is_removed_if_no_match_reaches_the_floors(tmp_path, captioned, named, matcher):
    with pytest.raises(DataError, match=r"scores go up to 0\.\d+, margins to .*Lower --floor"):
        mined(tmp_path / "mined", captioned, named, matcher, Floors(1.0, -2.0))
    assert len(mined(tmp_path / "mined", captioned, named, matcher)) == named.total


@dataclasses.dataclass
class WithDamage:
    """Images of which one cannot be read."""

    images: object

    def __len__(self):
        return len(self.images)

    def image(self, index):
        if index == 1:
            raise ImageError("image 1 is damaged")
        return self.images.image(index)

    def where(self, index):
        return self.images.where(index)


def test_unreadable_images_are_skipped_up_to_max_bad(tmp_path, captioned, named, matcher, caplog):
    damaged = dataclasses.replace(captioned, images=WithDamage(captioned.images))
    regions = mined(tmp_path / "some", damaged, named, matcher, max_bad=0.05)
    assert len(regions) == named.total - len(named.of_images[1].ids)
    assert "image 1 is damaged" in caplog.text
    assert measured_floors(damaged, named, matcher, images=2) != NONE
    with pytest.raises(DataError, match=r"at most 1\.00% of the images may be unreadable"):
        mined(tmp_path / "none", damaged, named, matcher, max_bad=0.01)
