"""Folders are whole or absent; damage is noticed; no file that is read runs code."""

import errno
import fcntl
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from radapter import storage
from radapter.errors import DamagedError, DiskError, ModelError, RunError, UnsafeFileError

# A process that imports storage alone: the whole package would take it seconds.
_ALONE = (
    "import sys, types; package = types.ModuleType('radapter'); sys.modules['radapter'] = package\n"
    f"package.__path__ = [{str(Path(storage.__file__).parent)!r}]\n"
)


class _Exploit:
    """Writes a file when unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def _left_in(folder):
    return sorted(path.name for path in folder.iterdir())


# --- folders ---------------------------------------------------------------------------------------------------


def test_folder_appears_when_the_block_ends(tmp_path):
    with storage.whole_folder(tmp_path / "run") as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "a.txt").write_text("a")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "sub" / "a.txt").read_text() == "a"
    assert _left_in(tmp_path) == ["run"]


def test_folder_stays_absent_when_the_block_fails(tmp_path):
    def write_and_fail(draft):
        (draft / "a.txt").write_text("a")
        raise KeyError

    with pytest.raises(KeyError), storage.whole_folder(tmp_path / "run") as draft:
        write_and_fail(draft)
    assert _left_in(tmp_path) == []


def test_existing_folder_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError, match="must not exist"), storage.whole_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert _left_in(tmp_path) == ["run"]


def test_replace_swaps_the_folder_and_leaves_nothing_of_the_old(tmp_path):
    for text in ("old", "new"):
        with storage.whole_folder(tmp_path / "run", replace=True) as draft:
            (draft / f"{text}.txt").write_text(text)
    assert _left_in(tmp_path) == ["run"]
    assert _left_in(tmp_path / "run") == ["new.txt"]


def test_failed_block_leaves_the_old_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old.txt").write_text("old")
    with pytest.raises(KeyError), storage.whole_folder(tmp_path / "run", replace=True):
        raise KeyError
    assert (tmp_path / "run" / "old.txt").read_text() == "old"
    assert _left_in(tmp_path) == ["run"]


def test_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old.txt").write_text("old")
    rename = Path.rename

    def full_disk(self, target):
        if self.suffix == ".part":
            raise OSError("No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full_disk)
    with pytest.raises(OSError, match="No space"), storage.whole_folder(tmp_path / "run", replace=True):
        pass
    assert (tmp_path / "run" / "old.txt").read_text() == "old"
    assert _left_in(tmp_path) == ["run"]


def test_file_is_never_replaced_by_a_folder(tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(RunError), storage.whole_folder(tmp_path / "run", replace=True):
        pytest.fail("the block must not run")
    assert (tmp_path / "run").read_text() == "precious"


def test_folder_that_appears_meanwhile_is_kept(tmp_path):
    theirs = tmp_path / "run" / "theirs.txt"
    with pytest.raises(RunError, match="meanwhile"), storage.whole_folder(tmp_path / "run"):
        storage.write_text(theirs, "theirs")
    assert _left_in(tmp_path) == ["run"]
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("replace", [False, True])
def test_process_killed_between_write_and_rename_leaves_the_old_state(tmp_path, replace):
    if replace:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "old.txt").write_text("old")
    code = (
        f"{_ALONE}import os, signal; from radapter.storage import whole_folder\n"
        f"with whole_folder(sys.argv[1], replace={replace}) as draft:\n"
        "    (draft / 'new.txt').write_text('new'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "run").exists() == replace
    if replace:
        assert _left_in(tmp_path / "run") == ["old.txt"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        with storage.whole_folder(tmp_path / "run"):
            pass
        storage.write_text(tmp_path / "note.txt", "private")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_weights_have_the_mode_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        storage.save_tensors(tmp_path / "a.safetensors", _WEIGHTS)
        storage.write_tensors(tmp_path / "b.safetensors", _WEIGHTS, metadata={})
        with storage.whole_folder(tmp_path / "run") as draft:
            save_file(_WEIGHTS, draft / "c.safetensors")  # as PEFT and transformers write theirs
    finally:
        os.umask(before)
    files = list(tmp_path.rglob("*.safetensors"))
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in files} == {
        f"{name}.safetensors": 0o666 & ~umask for name in "abc"
    }


# --- text and JSON ---------------------------------------------------------------------------------------------


def test_text_is_replaced_whole_and_leaves_no_draft(tmp_path):
    storage.write_text(tmp_path / "deep" / "note.txt", "eins\n")
    storage.write_text(tmp_path / "deep" / "note.txt", "zwei ß\n")
    assert (tmp_path / "deep" / "note.txt").read_text(encoding="utf-8") == "zwei ß\n"
    assert _left_in(tmp_path / "deep") == ["note.txt"]


def test_failed_write_keeps_the_old_text_and_no_draft(tmp_path):
    storage.write_text(tmp_path / "note.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        storage.write_text(tmp_path / "note.txt", "half \ud800")
    assert (tmp_path / "note.txt").read_text() == "old"
    assert _left_in(tmp_path) == ["note.txt"]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_round_trips(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    storage.write_json(path, value)
    assert storage.read_json(path) == value


def test_json_without_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert _left_in(tmp_path) == []


@pytest.mark.parametrize("content", [b'{"half": ', b"\xff\xfe", b"[" * 100_000, b""])
def test_damaged_json_names_the_file(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"a\.json"):
        storage.read_json(tmp_path / "a.json")


# --- weights ---------------------------------------------------------------------------------------------------

_WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


def _same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_tensors_round_trip_as_safetensors(tmp_path):
    storage.save_tensors(tmp_path / "w.safetensors", _WEIGHTS)
    assert _same(storage.load_weights(tmp_path / "w.safetensors"), _WEIGHTS)
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_views_of_one_tensor_are_saved_as_two(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    storage.save_tensors(tmp_path / "w.safetensors", {"whole": whole, "turned": whole.T})
    assert torch.equal(storage.load_weights(tmp_path / "w.safetensors")["turned"], whole.T)


@pytest.mark.parametrize(
    "content", [_WEIGHTS, *({key: _WEIGHTS, "epoch": 3} for key in storage.STATE_DICTS)], ids=str
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_torch_files_of_tensors_are_read(tmp_path, content, is_zip):
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=is_zip)
    assert _same(storage.load_weights(tmp_path / "w.pt"), _WEIGHTS)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ""])
def test_bare_pickle_is_refused_and_does_not_run(tmp_path, protocol, suffix):
    file = tmp_path / f"weights{suffix}"
    file.write_bytes(pickle.dumps({"a": _Exploit(tmp_path / "ran")}, protocol))
    with pytest.raises(UnsafeFileError, match=r"convert it once.*save_file"):
        storage.load_weights(file)
    assert not (tmp_path / "ran").exists()


def _advice_of(file):
    with pytest.raises(UnsafeFileError) as refused:
        storage.load_weights(file)
    return str(refused.value).partition("on a machine you can lose: ")[2]


@pytest.mark.parametrize("kept", ["module", "state_dict", "model", "alone"])
@pytest.mark.parametrize("written", ["zip", "old", "pickle-0", "pickle-2", "pickle-5"])
def test_the_advice_for_a_pickle_gives_its_tensors(tmp_path, monkeypatch, kept, written):
    model = torch.nn.Linear(2, 3)
    content = {
        "module": model,
        "state_dict": {"state_dict": model.state_dict(), "best_acc": np.float64(0.5)},
        "model": {"model": model, "epoch": 1},
        "alone": {**model.state_dict(), "best_acc": np.float64(0.5)},
    }[kept]
    file, (writer, _, protocol) = tmp_path / "it's mine.pt", written.partition("-")
    if writer == "pickle":
        file.write_bytes(pickle.dumps(content, int(protocol)))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=writer == "zip")
    monkeypatch.chdir(tmp_path)
    exec(_advice_of(file))
    assert _same(storage.load_weights("weights.safetensors"), model.state_dict())


def test_the_advice_for_torchscript_gives_its_tensors(tmp_path, monkeypatch):
    model = torch.nn.Linear(2, 3)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; files that it wrote stay around
        torch.jit.trace(model, torch.zeros(1, 2)).save("clip.pt")
        exec(_advice_of(tmp_path / "clip.pt"))
    assert _same(storage.load_weights("weights.safetensors"), model.state_dict())


def test_of_two_dicts_of_tensors_the_first_is_read_and_logged(tmp_path, caplog):
    averaged = {name: tensor + 1 for name, tensor in _WEIGHTS.items()}
    torch.save({"state_dict_ema": averaged, "state_dict": _WEIGHTS}, tmp_path / "w.pt")
    assert _same(storage.load_weights(tmp_path / "w.pt"), _WEIGHTS)
    assert "those under 'state_dict' are read" in caplog.text


def test_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(UnsafeFileError, match=r"model\.pt"):
        storage.load_weights(tmp_path / "model.pt")


def test_large_pickle_of_arrays_is_refused_as_a_pickle(tmp_path):
    (tmp_path / "w.bin").write_bytes(pickle.dumps({"a": np.zeros(50_000)}))
    with pytest.raises(UnsafeFileError):
        storage.load_weights(tmp_path / "w.bin")


def test_torchscript_is_refused_with_its_own_remedy(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; files that it wrote stay around
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "clip.pt"))
    with pytest.raises(UnsafeFileError, match=r"torch\.jit\.load"):
        storage.load_weights(tmp_path / "clip.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("kept", [0, 1, 7, 60, -9])
def test_truncated_weights_are_a_model_error(tmp_path, name, kept):
    storage.save_tensors(tmp_path / name, _WEIGHTS) if name == "w.safetensors" else torch.save(
        _WEIGHTS, tmp_path / name
    )
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])
    with pytest.raises(ModelError, match="whole"):
        storage.load_weights(tmp_path / name)


@given(content=st.binary(max_size=64))
def test_no_bytes_make_it_fail_otherwise(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("bytes") / "w.pt"
    file.write_bytes(content)
    with pytest.raises((ModelError, UnsafeFileError)):
        storage.load_weights(file)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 3}, {3: torch.zeros(2)}, torch.zeros(2)])
def test_anything_but_named_tensors_is_a_model_error(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="dict of tensors"):
        storage.load_weights(tmp_path / "w.pt")


def test_missing_weights_are_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="must exist"):
        storage.load_weights(tmp_path / "w.pt")


# --- places that cannot be written ------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "folder/deeper"])
def test_what_would_lie_below_a_file_is_refused(tmp_path, below):
    (tmp_path / "pairs.csv").touch()
    place = tmp_path / "pairs.csv" / below
    for write in (
        storage.check_writable,
        lambda folder: storage.write_text(folder / "a.txt", "a"),
        lambda folder: storage.write_tensors(folder / "a.safetensors", {}, metadata={}),
        lambda folder: storage.whole_folder(folder / "run").__enter__(),
        lambda folder: storage.lock(folder).__enter__(),
    ):
        with pytest.raises(RunError, match=r"'.*pairs\.csv' is not a folder. Choose another folder"):
            write(place)
    assert _left_in(tmp_path) == ["pairs.csv"]


def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    code = (
        f"{_ALONE}import os; from radapter.storage import check_writable\n"
        "os.getuid() or os.setuid(65534)  # root may write anywhere\n"
        "check_writable(sys.argv[1])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "closed" / "run"], capture_output=True, text=True, check=False
    )
    assert "RunError: output must lie in a folder that can be written." in ended.stderr
    assert "is not writable. Choose another folder, or change its permissions." in ended.stderr


# --- lock ------------------------------------------------------------------------------------------------------

_HOLD = (
    f"{_ALONE}import time; from radapter.storage import lock\n"
    "with lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
)


def test_second_process_is_refused_until_the_first_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="in use"), storage.lock(tmp_path):
            pytest.fail("the block must not run")
    finally:
        holder.kill()
        holder.communicate()
    with storage.lock(tmp_path):
        pass


def test_lock_is_free_after_an_exception(tmp_path):
    with pytest.raises(KeyError), storage.lock(tmp_path / "new"):
        raise KeyError
    with storage.lock(tmp_path / "new"):
        pass


def test_a_forked_process_does_not_hold_the_lock(tmp_path):
    with storage.lock(tmp_path):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with storage.lock(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_forked_process_that_outlives_the_holder_does_not_hold_the_lock(tmp_path):
    code = _HOLD.replace("print(", "os.fork() or time.sleep(60); print(").replace(
        "import time", "import os, time"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with storage.lock(tmp_path):  # the child sleeps on
        pass
    holder.stdout.close()


def test_what_killed_processes_left_goes_when_the_folder_is_locked(tmp_path):
    (tmp_path / "checkpoints" / ".step-00000003.0123abcd.part").mkdir(parents=True)
    (tmp_path / ".config.yaml.0123abcd.part").touch()
    (tmp_path / "best-epoch").mkdir()
    (tmp_path / ".best-epoch.0123abcd.old").mkdir()
    (tmp_path / ".user.part").touch()
    with storage.lock(tmp_path):
        assert _left_in(tmp_path) == [".lock", ".user.part", "best-epoch", "checkpoints"]
        assert _left_in(tmp_path / "checkpoints") == []


def test_a_folder_killed_between_two_renames_comes_back_when_it_is_locked(tmp_path):
    (tmp_path / ".best-epoch.0123abcd.old").mkdir()
    (tmp_path / ".best-epoch.0123abcd.old" / "choice.json").touch()
    with storage.lock(tmp_path):
        assert _left_in(tmp_path / "best-epoch") == ["choice.json"]


@pytest.mark.parametrize("missing", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_warned_of_and_used(tmp_path, monkeypatch, caplog, missing):
    def without(handle, operation):
        raise OSError(missing, os.strerror(missing))

    monkeypatch.setattr(fcntl, "flock", without)
    with storage.lock(tmp_path):
        storage.write_text(tmp_path / "note.txt", "written")
    assert f"the file system of '{tmp_path}' has no locks" in caplog.text


# --- disks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_file_system_that_flushes_no_folder_is_warned_of_once_and_used(
    tmp_path, monkeypatch, caplog, missing
):
    flush = os.fsync

    def of_files(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(missing, os.strerror(missing))
        flush(handle)

    monkeypatch.setattr(os, "fsync", of_files)
    for name in ("a", "b"):
        with storage.whole_folder(tmp_path / name) as draft:
            storage.write_text(draft / "note.txt", name)
    assert (tmp_path / "b" / "note.txt").read_text() == "b"
    assert caplog.text.count("folders cannot be forced to disk") == 1


def test_a_platform_that_opens_no_folder_can_write_one(tmp_path, monkeypatch):
    opened = os.open

    def of_files(path, flags, *rest, **named):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")  # as Windows
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", of_files)
    with storage.whole_folder(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("what", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_full_disk_is_reported_with_path_and_free_space_and_leaves_the_old(tmp_path, monkeypatch, what):
    storage.write_text(tmp_path / "note.txt", "old")

    def full(handle):
        raise OSError(what, os.strerror(what))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"note\.txt' cannot be written.* MiB are free"):
        storage.write_text(tmp_path / "note.txt", "new")
    with (
        pytest.raises(DiskError, match=r"run' cannot be written"),
        storage.whole_folder(tmp_path / "run") as draft,
    ):
        storage.save_tensors(draft / "w.safetensors", _WEIGHTS)
    assert (tmp_path / "note.txt").read_text() == "old"
    assert _left_in(tmp_path) == ["note.txt"]


def test_a_size_limit_that_weights_hit_is_a_disk_error(tmp_path):
    code = (
        f"{_ALONE}import resource, signal, torch; from radapter import storage\n"
        "from radapter.errors import DiskError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: storage.save_tensors(sys.argv[1], {'a': torch.zeros(9999)})\n"
        "except DiskError as error: print(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w.safetensors")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "w.safetensors' cannot be written: File too large" in ended.stdout


def test_json_file_is_readable_text(tmp_path):
    storage.write_json(tmp_path / "a.json", {"name": "Käse", "n": 1})
    assert "Käse" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "Käse", "n": 1}
