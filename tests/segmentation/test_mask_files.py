"""Masks from files: three forms give the same regions; damage is reported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference import regions

from radapter.errors import DataError
from radapter.segmentation import MaskFile, mask_file_of
from radapter.segmentation.mask_files import encode

IMAGE = Image.new("RGB", (12, 9))


def labels() -> np.ndarray:
    values = np.zeros((9, 12), np.uint8)
    values[:4, 2:7], values[5:, 3:], values[0, 0] = 3, 200, 255
    return values


def masks() -> torch.Tensor:
    return torch.from_numpy(np.stack([labels() == value for value in (3, 200, 255)]))


def test_npz_json_and_png_give_the_same_regions(tmp_path: Path):
    np.savez(tmp_path / "a.npz", masks=masks().numpy())
    (tmp_path / "a.json").write_text(json.dumps([{"segmentation": encode(mask)} for mask in masks()]))
    indexed = Image.fromarray(labels()).convert("P")
    indexed.putdata(labels().reshape(-1).tolist())
    indexed.save(tmp_path / "a.png")
    for suffix in ("npz", "json", "png"):
        proposals = MaskFile(tmp_path / f"a.{suffix}")(IMAGE)
        assert torch.equal(proposals.masks, masks().half())
        assert proposals.objectness.eq(1).all()


def test_soft_masks_and_objectness_are_read(tmp_path: Path):
    soft = np.random.default_rng(0).random((2, 9, 12)).astype(np.float32)
    np.savez(tmp_path / "a.npz", masks=soft, objectness=np.array([0.25, 1]))
    proposals = MaskFile(tmp_path / "a.npz")(IMAGE)
    assert torch.equal(proposals.masks, torch.from_numpy(soft).half())
    assert proposals.objectness.tolist() == [0.25, 1]
    listed = [{"segmentation": encode(mask), "objectness": 0.5} for mask in masks()]
    (tmp_path / "a.json").write_text(json.dumps({"regions": listed}))
    assert MaskFile(tmp_path / "a.json")(IMAGE).objectness.tolist() == [0.5] * 3


def test_sixteen_bit_values_are_regions(tmp_path: Path):
    values = np.zeros((9, 12), np.uint16)
    values[2:, 2:] = 40_000
    Image.fromarray(values).save(tmp_path / "a.png")
    assert torch.equal(
        MaskFile(tmp_path / "a.png")(IMAGE).masks[0], torch.from_numpy(values == 40_000).half()
    )


def test_a_file_without_a_region_gives_none(tmp_path: Path):
    Image.new("L", (12, 9)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text("[]")
    np.savez(tmp_path / "a.npz", masks=np.zeros((0, 9, 12)))
    for suffix in ("png", "json", "npz"):
        assert MaskFile(tmp_path / f"a.{suffix}")(IMAGE).masks.shape == (0, 9, 12)


def test_the_file_of_an_image_is_found_by_its_name(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").touch()
    assert mask_file_of(tmp_path, Path("in/a.jpg")) == tmp_path / "in" / "a.png"
    (tmp_path / "in" / "a.json").touch()
    assert mask_file_of(tmp_path, Path("in/a.jpg")) == tmp_path / "in" / "a.json"
    with pytest.raises(DataError, match=r"'b\.jpg' has none\. Looked for b\.npz, b\.json, b\.png"):
        mask_file_of(tmp_path, Path("b.jpg"))


def write(path: Path, content: object) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npz", {"other": np.zeros(3)}, "array 'masks'"),
        ("a.npz", {"masks": np.zeros((9, 12))}, r"must be \(Q, H, W\)"),
        ("a.npz", {"masks": np.array([["a"]])}, r"must be \(Q, H, W\)"),
        ("a.npz", {"masks": np.full((1, 9, 12), 2.0)}, r"in \[0, 1\]"),
        ("a.npz", {"masks": np.zeros((1, 12, 9))}, "image's size, 12 x 9"),
        ("a.npz", {"masks": np.zeros((1, 9, 12)), "objectness": np.zeros(2)}, "objectness must be 1"),
        ("a.npz", {"masks": np.zeros((1001, 9, 12)), "more": np.zeros(1 << 16)}, "at most 1000"),
        ("a.json", {"segments": []}, "list of regions"),
        ("a.json", [1], "list of regions"),
        ("a.json", [{}], "region 0 does not"),
        ("a.json", [{}] * 1001, "at most 1000"),
        ("a.json", b"{", "must be whole"),
        ("a.png", b"no image", "whole file"),
    ],
)
def test_what_is_no_mask_file_is_refused(tmp_path: Path, name: str, content: object, message: str):
    with pytest.raises(DataError, match=message):
        MaskFile(write(tmp_path / name, content))(IMAGE)


def test_a_pickle_is_not_opened(tmp_path: Path):
    np.savez(tmp_path / "a.npz", masks=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle"):
        MaskFile(tmp_path / "a.npz")(IMAGE)
    (tmp_path / "b.npz").write_bytes(b"\x80\x04N.")
    with pytest.raises(DataError, match="must be npz"):
        MaskFile(tmp_path / "b.npz")(IMAGE)


def test_masks_that_overlap_are_kept_apart(tmp_path: Path):
    overlapping = regions.random_masks(5, 9, 12, seed=0)
    (tmp_path / "a.json").write_text(json.dumps([{"segmentation": encode(mask)} for mask in overlapping]))
    assert torch.equal(MaskFile(tmp_path / "a.json")(IMAGE).masks, overlapping.half())
