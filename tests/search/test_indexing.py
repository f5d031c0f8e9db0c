"""An index follows its folder: only new and changed images are encoded."""

import os

import pytest
import torch
from PIL import Image

from radapter.errors import DataError
from radapter.search import find, index_folder
from radapter.world import split


@pytest.fixture
def photos(tmp_path):
    """Six scenes in two folders, and a hidden file."""
    scenes = split("id_test", seed=0, size=6)
    for number, pixels in enumerate(scenes.images):
        file = tmp_path / "photos" / ("a" if number < 3 else "b/c") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    (tmp_path / "photos" / "._0.png").write_bytes(b"")
    return tmp_path / "photos"


def facts(indexed):
    return indexed.encoded, indexed.kept, indexed.dropped


def test_a_folder_is_read_at_any_depth_in_the_order_of_its_paths(encoder, photos):
    indexed = index_folder(encoder, photos, model="m", batch_size=4)
    assert facts(indexed) == (6, 0, 0)
    assert indexed.index.paths == ("a/0.png", "a/1.png", "a/2.png", "b/c/3.png", "b/c/4.png", "b/c/5.png")
    alone = index_folder(encoder, photos / "b", model="m", batch_size=1)
    # float32: another batch is another order of sums
    assert alone.index.features.allclose(indexed.index.features[3:], atol=1e-6)


def test_an_unchanged_folder_gives_the_known_index(encoder, photos):
    known = index_folder(encoder, photos, model="m").index
    again = index_folder(encoder, photos, model="m", known=known)
    assert again.index is known
    assert facts(again) == (0, 6, 0)


def test_only_new_and_changed_images_are_encoded(encoder, photos):
    known = index_folder(encoder, photos, model="m").index
    (photos / "a" / "0.png").unlink()
    (photos / "a" / "1.png").write_bytes((photos / "a" / "2.png").read_bytes())
    (photos / "new.png").write_bytes((photos / "b" / "c" / "5.png").read_bytes())
    again = index_folder(encoder, photos, model="m", known=known)
    assert facts(again) == (2, 4, 2)
    fresh = index_folder(encoder, photos, model="m").index
    assert again.index.paths == fresh.paths
    assert again.index.stamps.equal(fresh.stamps)
    assert again.index.features.allclose(fresh.features, atol=1e-6)


def test_a_file_of_the_same_size_and_another_time_is_encoded_again(encoder, photos):
    known = index_folder(encoder, photos, model="m").index
    os.utime(photos / "a" / "0.png", ns=(0, 0))
    assert facts(index_folder(encoder, photos, model="m", known=known)) == (1, 5, 1)


def test_a_moved_folder_keeps_its_index(encoder, photos, tmp_path):
    known = index_folder(encoder, photos, model="m").index
    photos.rename(tmp_path / "moved")
    assert index_folder(encoder, tmp_path / "moved", model="m", known=known).index is known


def test_an_index_of_another_model_is_refused(encoder, photos):
    known = index_folder(encoder, photos, model="m").index
    with pytest.raises(
        DataError, match=r"index must be of this model, n\. It is of m\. Give another --index"
    ):
        index_folder(encoder, photos, model="n", known=known)


def test_an_index_of_another_folder_is_refused(encoder, photos):
    known = index_folder(encoder, photos / "a", model="m").index
    with pytest.raises(DataError, match="index must be of this folder"):
        index_folder(encoder, photos / "b", model="m", known=known)


def test_unreadable_images_are_reported_and_the_others_indexed(encoder, photos):
    (photos / "a" / "1.png").write_bytes(b"no image")
    (photos / "a" / "3.png").symlink_to(photos / "nowhere.png")
    calls = []
    indexed = index_folder(
        encoder, photos, model="m", batch_size=2, progress=lambda *done: calls.append(done)
    )
    first, second = indexed.unreadable
    assert str(photos / "a" / "1.png") in first
    assert str(photos / "a" / "3.png") in second
    assert len(indexed.index) == 5
    assert calls == [(2, 7), (4, 7), (6, 7), (7, 7)]


def test_a_folder_without_a_readable_image_is_refused(encoder, tmp_path):
    with pytest.raises(DataError, match="image folder must hold an image"):
        index_folder(encoder, tmp_path, model="m")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"None of the 1 in .* is: image must be a whole file"):
        index_folder(encoder, tmp_path, model="m")
    with pytest.raises(DataError, match="image folder must exist"):
        index_folder(encoder, tmp_path / "none", model="m")


def test_hits_are_the_nearest_with_rank_cosine_and_path(encoder, photos):
    index = index_folder(encoder, photos, model="m").index
    (hits,) = find(index, index.features[4:5], top=2)
    assert (hits[0].rank, hits[0].path, hits[1].rank) == (1, "b/c/4.png", 2)
    assert hits[0].cosine == pytest.approx(1, abs=1e-6)
    assert hits[1].cosine == pytest.approx(
        float(torch.sort(index.features @ index.features[4])[0][-2]), abs=1e-6
    )
