"""manifest.json: damage to a recorded file is noticed, and what a user adds is none."""

import pytest

from radapter.errors import DamagedError, RunError
from radapter.manifests import check_finished, check_recorded, forget, record, recorded, write_manifest
from radapter.storage import write_json


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with two files, one of them in a folder that has a manifest of its own, and its manifest."""
    folder = tmp_path / "checkpoint"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"\x00" * 100)
    (folder / "inner" / "manifest.json").write_text("{}")
    write_manifest(folder)
    return folder


def test_untouched_folder_verifies(checkpoint):
    check_finished(checkpoint)


def test_manifest_covers_files_in_folders_but_not_itself_and_the_lock(checkpoint):
    (checkpoint / ".lock").touch()
    assert set(write_manifest(checkpoint)) == {"weights.bin", "inner/manifest.json"}


def test_one_flipped_bit_is_noticed(checkpoint):
    content = bytearray((checkpoint / "weights.bin").read_bytes())
    content[50] ^= 1
    (checkpoint / "weights.bin").write_bytes(content)
    with pytest.raises(DamagedError, match=r"weights\.bin.* does not match"):
        check_finished(checkpoint)


def test_missing_file_is_noticed(checkpoint):
    (checkpoint / "inner" / "manifest.json").unlink()
    with pytest.raises(DamagedError, match="missing"):
        check_finished(checkpoint)


def test_folder_without_manifest_was_not_finished(tmp_path):
    with pytest.raises(DamagedError, match="not finished"):
        check_finished(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sha256": ["a"]}', '{"sha256": {"weights.bin": 3}}'])
def test_damaged_manifest_is_damage(checkpoint, content):
    (checkpoint / "manifest.json").write_text(content)
    with pytest.raises(DamagedError):
        check_finished(checkpoint)


def test_files_that_a_user_adds_and_a_changed_card_are_no_damage(checkpoint):
    (checkpoint / "README.md").write_text("mine")
    write_manifest(checkpoint)
    for name in ("README.md", ".gitattributes", "notes.txt"):
        (checkpoint / name).write_text("changed")
    check_finished(checkpoint)


def test_a_folder_without_a_manifest_is_read_unchecked(tmp_path):
    check_recorded(tmp_path)
    assert recorded(tmp_path) == {}


def test_the_manifest_of_another_program_is_ignored(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "app", "icons": []}')
    check_recorded(tmp_path)


def test_damage_names_the_file_both_hashes_and_the_remedy(checkpoint):
    (checkpoint / "weights.bin").write_bytes(b"\x01" * 100)
    with pytest.raises(DamagedError, match=r"SHA-256 [0-9a-f]{12} .*match [0-9a-f]{12} in .*Copy it again"):
        check_recorded(checkpoint)


def test_only_the_files_that_are_named_are_read(checkpoint):
    (checkpoint / "weights.bin").unlink()
    check_recorded(checkpoint, "inner/manifest.json")


def test_files_are_recorded_anew_and_taken_out(checkpoint):
    (checkpoint / "weights.bin").write_bytes(b"new")
    record(checkpoint, "weights.bin")
    check_finished(checkpoint)
    forget(checkpoint, "weights.bin")
    assert set(recorded(checkpoint)) == {"inner/manifest.json"}


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "a/../../outside", "C:/outside", "a\\..\\..\\b"]
)
def test_a_manifest_names_no_file_outside_its_folder(checkpoint, name):
    write_json(checkpoint / "manifest.json", {"sha256": {name: "0" * 64}})
    with pytest.raises(DamagedError, match=r"must hold the SHA-256 of each file in its folder"):
        check_finished(checkpoint)


def test_a_later_manifest_is_refused_by_its_schema(checkpoint):
    write_json(checkpoint / "manifest.json", {"schema": 7, "sha256": {}})
    with pytest.raises(RunError, match="was written by schema 7; this radapter reads 1"):
        check_finished(checkpoint)
