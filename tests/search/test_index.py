"""The index file: complete, memory-mapped, and refused if it is something else."""

import os

import pytest
import torch
from safetensors.torch import save_file

from radapter.errors import DataError
from radapter.search import ImageIndex, read_index, write_index


def an_index(rows=3, width=4, **changed):
    facts = {
        "model": "m",
        "paths": tuple(f"a/{row}.png" for row in range(rows)),
        "stamps": torch.arange(2 * rows).reshape(rows, 2),
        "features": torch.eye(width)[torch.arange(rows) % width],
    }
    return ImageIndex(**(facts | changed))


def test_an_index_is_read_as_it_was_written(tmp_path):
    paths = ("plain.png", "ünï/c\n.png", os.fsdecode(b"\xe9.png"))  # the last is no UTF-8
    index = an_index(paths=paths)
    write_index(tmp_path / "i.safetensors", index)
    again = read_index(tmp_path / "i.safetensors")
    assert (again.model, again.paths) == (index.model, paths)
    assert again.stamps.equal(index.stamps)
    assert again.features.equal(index.features)


def test_features_are_mapped_from_the_file(tmp_path):
    file = tmp_path / "i.safetensors"
    write_index(file, an_index())
    index = read_index(file)
    address = index.features.untyped_storage().data_ptr()
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        mapped = [line for line in maps if str(file) in line]
    spans = [[int(end, 16) for end in line.split()[0].split("-")] for line in mapped]
    assert any(start <= address < end for start, end in spans)


def test_a_write_that_fails_leaves_the_old_index(tmp_path):
    file = tmp_path / "i.safetensors"
    write_index(file, an_index())
    before = file.read_bytes()
    shared = torch.eye(4)[:3]
    with pytest.raises(RuntimeError, match="share memory"):
        write_index(file, an_index(features=shared, stamps=shared))
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"features": torch.eye(4)[:2]}, "for 3 paths"),
        ({"features": torch.eye(4)[:3].double()}, "float64"),
        ({"features": 2 * torch.eye(4)[:3]}, "unit norm"),
        ({"stamps": torch.zeros(3, 1, dtype=torch.int64)}, "stamps are"),
        ({"paths": ("a", "a", "b")}, "a path occurs twice"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(tmp_path, changed, message):
    write_index(tmp_path / "i.safetensors", an_index(**changed))
    with pytest.raises(DataError, match=message):
        read_index(tmp_path / "i.safetensors")


def test_other_files_are_no_index(tmp_path):
    file = tmp_path / "i.safetensors"
    with pytest.raises(DataError, match="there is no such file"):
        read_index(file)
    save_file({"features": torch.eye(2)}, file)
    with pytest.raises(DataError, match="its kind is None"):
        read_index(file)
    save_file({"features": torch.eye(2)}, file, metadata={"kind": "radapter image index 1", "model": "m"})
    with pytest.raises(DataError, match="stamps"):
        read_index(file)


@pytest.mark.parametrize("kept", [0, 7, 100])
def test_a_truncated_index_is_refused(tmp_path, kept):
    file = tmp_path / "i.safetensors"
    write_index(file, an_index())
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match="Remove it"):
        read_index(file)
