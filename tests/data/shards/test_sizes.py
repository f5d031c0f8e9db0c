"""A folder of shards that is not what sizes.json says is refused, with both numbers."""

import json
import shutil

import pytest

from radapter.data.shards import SIZES, Sample, read_shards, write_shards
from radapter.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Three shards of 2, 2 and 1 samples."""

    def items(start):
        return ([Sample(f"{n}", {"txt": b"x" * 12_000})] for n in range(start, 5))

    written = write_shards(tmp_path / "shards", items, 5, about={}, shard_size=20_000)
    assert written.counts == {"00000.tar": 2, "00001.tar": 2, "00002.tar": 1}
    return tmp_path / "shards"


def change(folder, key, value):
    content = json.loads((folder / SIZES).read_text())
    content[key] = value
    (folder / SIZES).write_text(json.dumps(content))


def test_what_was_written_is_read(folder):
    found = read_shards(folder)
    assert len(found) == 5
    assert [path.name for path in found.paths] == ["00000.tar", "00001.tar", "00002.tar"]


def test_a_shard_with_other_samples_is_named_with_both_numbers(folder):
    shutil.copy(folder / "00002.tar", folder / "00001.tar")
    with pytest.raises(DataError, match=r"00001.tar' holds 1, sizes.json says 2\. Write the folder again"):
        read_shards(folder)


def test_a_count_that_was_changed_is_named_with_both_numbers(folder):
    change(folder, "00001.tar", 7)
    with pytest.raises(DataError, match=r"00001.tar' holds 2, sizes.json says 7\."):
        read_shards(folder)


def test_a_shard_that_is_cut_off_is_refused(folder):
    whole = (folder / "00000.tar").read_bytes()
    (folder / "00000.tar").write_bytes(whole[:1_000])
    with pytest.raises(DataError, match=r"00000\.tar"):
        read_shards(folder)


def test_a_shard_that_is_missing_is_named_with_what_it_should_hold(folder):
    (folder / "00001.tar").unlink()
    with pytest.raises(DataError, match=r"00001.tar' is not; it should hold 2 samples"):
        read_shards(folder)


def test_a_shard_that_is_not_listed_is_refused(folder):
    shutil.copy(folder / "00002.tar", folder / "00003.tar")
    with pytest.raises(DataError, match=r"lacks 00003\.tar"):
        read_shards(folder)


def test_a_folder_without_sizes_is_refused_with_the_command_that_writes_it(tmp_path):
    with pytest.raises(DataError, match="radapter shards DATA --out"):
        read_shards(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"00000.tar": 2}', '{"00000.tar": 2, "written": 3}', "null", '{"written": {}}'],
)
def test_a_sizes_file_of_another_form_is_refused(folder, content):
    (folder / SIZES).write_text(content)
    with pytest.raises(DataError, match=SIZES):
        read_shards(folder)


@pytest.mark.parametrize("name", ["../secret.tar", "/etc/passwd", "pipe:rm -rf x", "a.tar"])
def test_a_name_that_leads_elsewhere_is_refused(folder, name):
    change(folder, name, 2)
    with pytest.raises(DataError, match="must be as 'radapter shards' writes it"):
        read_shards(folder)
