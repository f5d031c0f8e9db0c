"""Files that somebody else wrote: what is opened, and what is refused before a byte of it is read."""

import json
import os
from pathlib import Path

import pytest

from radapter.given_files import open_regular, parse_json, read_bytes, read_text, text_lines


@pytest.fixture
def strange(tmp_path):
    """A FIFO, a link to a device, a sparse file of 40 GB and a folder, by name."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(40 * 10**9)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("fifo", "is a FIFO"),
        ("device", "is a device"),
        ("sparse", "has 40,000,000,000"),
        ("folder", "is a folder"),
        ("a\0b", "no file can have this name"),
        ("\ud800", "no file can have this name"),
    ],
)
def test_only_regular_files_of_a_bounded_size_are_opened(strange, name, what):
    with pytest.raises(OSError, match=what):
        open_regular(strange / name, limit=100)


def test_a_file_without_a_size_is_read_up_to_the_limit():
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(OSError, match="at most 10 bytes and has 11"):
        read_bytes("/proc/self/maps", limit=10)


def test_text_is_read_without_its_byte_order_mark_and_with_plain_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree")
    assert read_text(tmp_path / "a.txt") == "one\ntwo\nthree"
    assert list(text_lines(tmp_path / "a.txt")) == ["one\r\n", "two\r", "three"]


def test_a_line_of_a_table_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("radapter.given_files.MAX_LINE", 5)
    (tmp_path / "a.csv").write_text("four\nmore than five\n")
    with pytest.raises(OSError, match="line 2 must have at most 5 characters"):
        list(text_lines(tmp_path / "a.csv"))


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 6000, '"\\ud83d"', '{"\\uDC00": 1}', "[1,"])
def test_json_that_nothing_can_hold_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested|digits|surrogate|Expecting"):
        parse_json(text)
    with pytest.raises(ValueError, match=r"nested|digits|surrogate|Expecting"):
        parse_json(text.encode())


def test_escaped_pairs_are_whole_characters():
    assert parse_json(json.dumps(["\U0001f600", "é"])) == ["\U0001f600", "é"]
