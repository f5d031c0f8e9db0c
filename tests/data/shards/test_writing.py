"""Shards are whole or absent, bitwise the same however often the writing was stopped, and know what they hold."""

import json
import tarfile

import pytest
from webdataset import tariterators

from radapter.data.shards import SIZES, Sample, read_shards, write_shards
from radapter.data.tars import list_tar, samples
from radapter.errors import ConfigError, DataError, RunError

ABOUT = {"source": "numbers", "seed": 3}
SIZE = 10_000


def sample(number: int) -> Sample:
    # a member of 700 to 1,300 bytes
    return Sample(f"{number:09d}", {"jpg": bytes([number]) * (700 + 20 * number), "txt": b"a caption"})


def numbers(start: int = 0):
    """30 items; every fifth gives none, every seventh two samples."""
    for number in range(start, 30):
        if number % 7 == 3:
            yield [sample(number), sample(number + 100)]
        else:
            yield [] if number % 5 == 4 else [sample(number)]


def write(folder, items=numbers, **options):
    return write_shards(folder, items, 30, **{"about": ABOUT, "shard_size": SIZE, **options})


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


class StoppedError(Exception):
    """What ends a call in its middle."""


def stopping_at(number: int):
    def items(start: int):
        for place, samples_of_one in enumerate(numbers(start), start):
            if place == number:
                raise StoppedError
            yield samples_of_one

    return items


def test_shards_are_numbered_and_about_as_large_as_asked(tmp_path):
    written = write(tmp_path / "shards")
    assert list(written.counts) == [f"0000{n}.tar" for n in range(len(written.counts))]
    assert len(written.counts) > 3
    for path in written.paths[:-1]:
        assert SIZE <= path.stat().st_size < SIZE + 4_000 + 10_240  # the last item, and the end of a tar


def test_every_sample_is_in_a_shard_once_and_counted(tmp_path):
    written = write(tmp_path / "shards")
    keys = [key for path in written.paths for key in samples(list_tar(path))]
    assert keys == [one.key for item in numbers() for one in item]
    assert [len(samples(list_tar(path))) for path in written.paths] == list(written.counts.values())
    assert len(written) == len(keys)
    assert written.is_complete


def test_webdataset_reads_them(tmp_path):
    written = write(tmp_path / "shards")
    found = []
    for path in written.paths:
        with path.open("rb") as file:
            files = tariterators.tar_file_expander([{"url": str(path), "stream": file}])
            found += tariterators.group_by_keys(files)
    expected = [one for item in numbers() for one in item]
    assert [(f["__key__"], f["jpg"], f["txt"]) for f in found] == [
        (e.key, e.parts["jpg"], e.parts["txt"]) for e in expected
    ]


def test_sizes_json_is_what_open_clip_reads_and_says_where_it_comes_from(tmp_path):
    written = write(tmp_path / "shards")
    content = json.loads((tmp_path / "shards" / SIZES).read_text())
    # open_clip_train.data.get_dataset_size
    assert sum(int(content[path.name]) for path in written.paths) == len(written)
    assert content["written"]["from"] == ABOUT


def test_members_have_no_time_and_no_owner(tmp_path):
    with tarfile.open(write(tmp_path / "shards").paths[0]) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")


@pytest.mark.parametrize("stop", [0, 1, 9, 14, 29])
def test_a_stopped_call_continues_to_the_same_bytes(tmp_path, stop):
    write(tmp_path / "whole")
    with pytest.raises(StoppedError):
        write(tmp_path / "stopped", stopping_at(stop))
    left = read_shards(tmp_path / "stopped")
    assert not left.is_complete
    assert not list((tmp_path / "stopped").glob(".*.part"))
    asked = []
    write(tmp_path / "stopped", lambda start: asked.append(start) or numbers(start))
    assert asked == [left.items]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_shard_that_a_killed_call_did_not_list_is_written_again(tmp_path):
    whole = write(tmp_path / "whole")
    with pytest.raises(StoppedError):
        write(tmp_path / "killed", stopping_at(14))
    left = len(read_shards(tmp_path / "killed").counts)
    (tmp_path / "killed" / whole.paths[left].name).write_bytes(b"a shard that was renamed and not listed")
    (tmp_path / "killed" / ".00009.tar.0123.part").write_bytes(b"half")
    write(tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_finished_folder_is_left_as_it_is(tmp_path):
    write(tmp_path / "shards")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")}
    assert write(tmp_path / "shards", lambda start: iter([])).is_complete
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "shards").glob("*.tar")} == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"about": {"source": "numbers", "seed": 4}}, "seed: 4, there 3"),
        ({"about": {"source": "letters"}}, "source: letters, there numbers; seed: None, there 3"),
        ({"shard_size": 999}, "size of a shard: 999, there 10000"),
    ],
)
def test_other_settings_or_another_source_are_refused(tmp_path, changed, said):
    write(tmp_path / "shards")
    before = contents(tmp_path / "shards")
    with pytest.raises(RunError, match=said):
        write(tmp_path / "shards", **changed)
    assert contents(tmp_path / "shards") == before


@pytest.mark.parametrize("there", [True, False])
def test_a_refused_call_that_wrote_no_shard_leaves_no_trace(tmp_path, there):
    def refused(start):
        yield [sample(0)]
        raise DataError("no image")

    if there:
        (tmp_path / "shards").mkdir()
    with pytest.raises(DataError, match="no image"):
        write(tmp_path / "shards", refused)
    assert list(tmp_path.rglob("*")) == ([tmp_path / "shards"] if there else [])


def test_a_call_that_was_killed_before_its_first_shard_binds_nothing(tmp_path):
    with pytest.raises(StoppedError):
        write(tmp_path / "shards", stopping_at(1), about={"source": "letters"})
    write(tmp_path / "shards")
    write(tmp_path / "whole")
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"precious")
    with pytest.raises(RunError, match="must be new, empty"):
        write(tmp_path / "photos")
    assert contents(tmp_path / "photos") == {"cat.jpg": b"precious"}


def test_progress_counts_items_and_ends_at_all(tmp_path):
    steps = []
    write(tmp_path / "shards", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(n, 30) for n in range(1, 31)]


@pytest.mark.parametrize("key", ["", "a.b", "../a", "/a", "a/", "__a"])
def test_a_key_that_is_no_name_is_refused(tmp_path, key):
    with pytest.raises(DataError, match="sample's key"):
        write_shards(tmp_path / "s", lambda start: [[Sample(key, {"txt": b"a"})]], 1, about={})


def test_a_key_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="is repeated"):
        write_shards(tmp_path / "s", lambda start: [[Sample("a", {"txt": b"a"})] * 2], 1, about={})


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(DataError, match="None of 2 items"):
        write_shards(tmp_path / "s", lambda start: [[], []][start:], 2, about={})


def test_shards_of_no_size_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1 byte"):
        write(tmp_path / "s", shard_size=0)
    assert not (tmp_path / "s").exists()
