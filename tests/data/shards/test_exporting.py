"""What is written into shards is read back: the same images, classes, captions and target classes."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import open_classification, open_pairs
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.sizes import read_contents
from radapter.data.tars import list_tar, samples
from radapter.errors import DataError, RunError


@pytest.fixture
def photos(tmp_path):
    """Class folders with files of three formats."""
    for name, suffix in (("cat", "jpg"), ("dog", "png"), ("sea star", "webp")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            shade = (40 * number, len(name) * 10, 7)
            Image.new("RGB", (20, 16), shade).save(tmp_path / "photos" / name / f"{number}.{suffix}")
    return tmp_path / "photos"


def pixels(dataset):
    return [np.asarray(dataset.image(index)) for index in range(len(dataset))]


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_labelled_images_are_read_back_as_a_labelled_source(photos, tmp_path):
    dataset = open_classification(str(photos))
    export_shards(dataset, tmp_path / "shards", source="photos", shard_size=3_000)
    back = open_classification({"shards": str(tmp_path / "shards")})
    assert back.classnames == dataset.classnames == ("cat", "dog", "sea star")
    assert torch.equal(back.labels, dataset.labels)
    assert torch.equal(back.keys, dataset.keys)
    assert same(pixels(back), pixels(dataset))


def test_image_files_are_copied_as_they_are(photos, tmp_path):
    dataset = open_classification(str(photos))
    written = export_shards(dataset, tmp_path / "shards", source="photos")
    found = samples(list_tar(written.paths[0]))
    for index, parts in enumerate(found.values()):
        (image,) = (member for extension, member in parts.items() if extension not in ("cls", "json"))
        assert image.read() == dataset.images.content(index)
    assert {extension for parts in found.values() for extension in parts} == {
        "jpg",
        "png",
        "webp",
        "cls",
        "json",
    }


@pytest.mark.parametrize("part", [[0.0, 0.5], [0.5, 1.0]])
def test_parts_and_shots_of_shards_are_those_of_the_source(photos, tmp_path, part):
    export_shards(open_classification(str(photos)), tmp_path / "shards", source="photos")
    cut = {"part": part, "split_seed": 1}
    there = open_classification({"folder": str(photos), **cut})
    back = open_classification({"shards": str(tmp_path / "shards"), **cut})
    assert torch.equal(back.keys, there.keys)


@pytest.mark.parametrize("join", [True, False])
def test_captioned_scenes_are_read_back_by_the_reader_of_tars(tmp_path, join):
    pairs = open_pairs({"world": "scenes", "size": 30}, join=join)
    export_shards(pairs, tmp_path / "shards", source="scenes", join_captions=join, shard_size=20_000)
    back = open_pairs({"webdataset": str(tmp_path / "shards" / "*.tar")}, join=join)
    assert back.captions == pairs.captions
    for name in ("image_of_caption", "groups", "targets", "keys"):
        assert torch.equal(getattr(back, name), getattr(pairs, name)), name
    assert same(pixels(back), pixels(pairs))


def test_changed_images_are_written_as_they_look_and_known_by_what_they_were(tmp_path):
    grey = open_pairs({"world": "scenes", "size": 6, "grayscale": True})
    export_shards(grey, tmp_path / "shards", source="grey", join_captions=True)
    back = open_pairs({"webdataset": str(tmp_path / "shards" / "*.tar")})
    assert same(pixels(back), pixels(grey))
    assert all((p[..., 0] == p[..., 1]).all() for p in pixels(back))
    assert torch.equal(back.keys, open_pairs({"world": "scenes", "size": 6}).keys)


def test_what_is_no_image_file_is_left_out_and_counted(photos, tmp_path):
    (photos / "dog" / "1.png").write_bytes(b"no image")
    dataset = open_classification(str(photos))
    written = export_shards(dataset, tmp_path / "shards", source="photos", max_bad=0.1)
    assert (len(written), written.of) == (11, 12)
    back = open_classification({"shards": str(tmp_path / "shards")})
    assert back.labels.tolist() == [0] * 4 + [1] * 3 + [2] * 4


def test_too_many_that_are_no_image_files_are_an_error(photos, tmp_path):
    (photos / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"at most 1\.00%"):
        export_shards(open_classification(str(photos)), tmp_path / "shards", source="photos")


def test_another_order_or_label_is_another_source(photos, tmp_path):
    dataset = open_classification(str(photos))
    export_shards(dataset, tmp_path / "shards", source="photos")
    with pytest.raises(RunError, match="fingerprint"):
        export_shards(dataset.subset(list(reversed(range(12)))), tmp_path / "shards", source="photos")


def test_contents_are_the_keys_that_the_leak_guard_reads(photos, tmp_path):
    dataset = open_classification(str(photos))
    export_shards(dataset, tmp_path / "shards", source="photos")
    assert read_contents(tmp_path / "shards").tolist() == sorted(set(dataset.keys.tolist()))


@pytest.mark.parametrize("holds", [None, b"no tensors"])
def test_contents_that_are_missing_are_an_error_with_its_remedy(tmp_path, holds):
    if holds is not None:
        (tmp_path / "contents.safetensors").write_bytes(holds)
    with pytest.raises(DataError, match="radapter shards"):
        read_contents(tmp_path)


def test_shards_of_pairs_are_no_labelled_source(tmp_path):
    pairs = open_pairs({"world": "scenes", "size": 4})
    export_shards(pairs, tmp_path / "shards", source="scenes", join_captions=True)
    with pytest.raises(DataError, match="holds image-text pairs"):
        open_classification({"shards": str(tmp_path / "shards")})


def test_real_photographs_keep_their_bytes(real_data, tmp_path):
    pairs = open_pairs({"parquet": str(real_data / "flickr8k" / "val.parquet")}).subset(range(40))
    export_shards(pairs, tmp_path / "shards", source="flickr8k", join_captions=True, shard_size=100_000)
    back = open_pairs({"webdataset": str(tmp_path / "shards" / "*.tar")})
    assert back.captions == pairs.captions
    assert same(pixels(back), pixels(pairs))
    content = back.images.content(3)
    assert content == pairs.images.content(int(pairs.rows[3]))
    assert Image.open(io.BytesIO(content)).format == "JPEG"
