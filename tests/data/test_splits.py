"""The part of an image depends on its content alone."""

import hashlib
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter.data.images.sequences import FileImages
from radapter.data.splits import UNREADABLE, content_keys, in_part, key_of
from radapter.errors import ConfigError

_KEYS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30).map(torch.tensor)
_FRACTIONS = st.floats(0.0001, 0.9999)


def _keys(images):
    return content_keys(images, torch.arange(len(images)))


def _files(folder, contents):
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return FileImages([folder / name for name in contents])


def test_key_is_the_head_of_the_sha256():
    digest = hashlib.sha256(b"cat").digest()
    assert key_of(b"cat").to_bytes(8, "big", signed=True) == digest[:8]


def test_keys_follow_content_not_name(tmp_path):
    keys = _keys(_files(tmp_path, {"a": b"cat", "b": b"dog", "c": b"cat"}))
    assert keys[0] == keys[2] != keys[1]


def test_missing_file_has_no_key(tmp_path):
    assert _keys(FileImages([tmp_path / "gone"])).tolist() == [UNREADABLE]


def test_unchanged_file_is_read_once(tmp_path, monkeypatch):
    images = _files(tmp_path, {"a": b"cat"})
    before = _keys(images)
    monkeypatch.setattr(FileImages, "content", lambda *_: pytest.fail("read again"))
    assert torch.equal(_keys(images), before)


def test_changed_file_is_read_again(tmp_path):
    images = _files(tmp_path, {"a": b"cat"})
    before = _keys(images)
    (tmp_path / "a").write_bytes(b"cow")
    os.utime(tmp_path / "a", ns=(1, 1))
    assert not torch.equal(_keys(images), before)


def test_progress_ends_at_all(tmp_path):
    steps = []
    images = _files(tmp_path, {str(number): bytes([number % 250]) for number in range(300)})
    content_keys(images, torch.arange(300), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(256, 300), (300, 300)]


@given(keys=_KEYS, middle=_FRACTIONS, split_seed=st.integers(-5, 5))
def test_two_parts_share_every_image_between_them(keys, middle, split_seed):
    first = in_part(keys, 0, middle, split_seed=split_seed)
    second = in_part(keys, middle, 1, split_seed=split_seed)
    assert torch.equal(first, ~second)


@given(keys=_KEYS, added=_KEYS, low=st.floats(0, 0.5), high=_FRACTIONS.map(lambda f: 0.5 + f / 2))
def test_adding_images_moves_no_other(keys, added, low, high):
    alone = in_part(keys, low, high)
    assert torch.equal(in_part(torch.cat([added, keys]), low, high)[len(added) :], alone)


@given(keys=_KEYS, middle=_FRACTIONS)
def test_copies_fall_on_the_same_side(keys, middle):
    sides = in_part(torch.cat([keys, keys]), 0, middle)
    assert torch.equal(sides[: len(keys)], sides[len(keys) :])


def test_largest_and_smallest_keys_are_in_some_part():
    keys = torch.tensor([-1, 0, 2**63 - 1, -(2**63)])
    assert in_part(keys, 0.5, 1.0).tolist() == [True, False, False, True]


def test_part_holds_about_its_share():
    keys = torch.tensor([key_of(str(number).encode()) for number in range(4000)])
    assert abs(in_part(keys, 0.2, 0.5).float().mean() - 0.3) < 0.03  # four standard errors


def test_split_seed_gives_an_independent_split():
    keys = torch.tensor([key_of(str(number).encode()) for number in range(4000)])
    both = in_part(keys, 0, 0.5) & in_part(keys, 0, 0.5, split_seed=1)
    assert abs(both.float().mean() - 0.25) < 0.03


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1)]
)
def test_empty_or_outside_part_is_refused(low, high):
    with pytest.raises(ConfigError, match="part must be"):
        in_part(torch.tensor([1]), low, high)
