"""Reads files that others may have written: only regular files of a bounded size, and checked JSON.

Every problem with a file is an OSError and every problem with JSON a ValueError, so that callers handle them like a
missing file and a syntax error.
"""

import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

# The most bytes of an image or mask file, of a table, which is read line by line, and of a text or JSON file
IMAGE_FILE, TABLE_FILE, TEXT_FILE = 2**30, 4 * 2**30, 2**30
MAX_LINE = 16 * 2**20  # characters of a line of a table

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
_HALF = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


def open_regular(path: str | os.PathLike[str], *, limit: int) -> BinaryIO:
    """Opens a regular file, or a link to one, for reading. Raises OSError if it is missing, not a regular file, or
    larger than `limit` bytes, or the name is impossible."""
    name = os.fspath(path)
    try:
        _refuse(os.stat(name), name, limit)  # noqa: PTH116
        # The path may have been replaced since: opening a FIFO would wait for a writer.
        handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        raise OSError(errno.EINVAL, f"no file can have this name ({error})", name) from error
    try:
        _refuse(os.fstat(handle), name, limit)
    except BaseException:
        os.close(handle)
        raise
    return open(handle, "rb")  # noqa: PTH123


def read_bytes(path: str | os.PathLike[str], *, limit: int) -> bytes:
    """The content of a regular file; raises OSError as `open_regular`, also if it yields more than `limit` bytes."""
    with open_regular(path, limit=limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:  # the file grows, or has no size, as in /proc
        raise _too_large(len(content), os.fspath(path), limit)
    return content


def read_text(path: str | os.PathLike[str], *, limit: int = TEXT_FILE) -> str:
    """The UTF-8 text of a regular file, without a byte order mark; raises OSError and UnicodeDecodeError."""
    with io.TextIOWrapper(io.BytesIO(read_bytes(path, limit=limit)), encoding="utf-8-sig") as file:
        return file.read()


def parse_json(text: str | bytes) -> Any:
    """Parses JSON. Raises ValueError if it is not JSON, nested too deeply, or has a number of thousands of digits or
    text with half of a surrogate pair, which cannot be written or tokenized."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("brackets are nested too deeply") from error
    if _HALF.search(text.decode("utf-8", "replace") if isinstance(text, bytes) else text):
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = ord(error.object[error.start])
            raise ValueError(f"text holds \\u{half:04x}, half of a surrogate pair") from error
    return content


def text_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """The lines of a UTF-8 table with their ends, one at a time; raises OSError and UnicodeDecodeError."""
    with io.TextIOWrapper(open_regular(path, limit=TABLE_FILE), encoding="utf-8-sig", newline="") as file:
        number = 1
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise OSError(
                    errno.EFBIG, f"line {number} must have at most {MAX_LINE:,} characters", os.fspath(path)
                )
            yield line
            number += 1


def read_json_file(path: Path) -> Any:
    """Parses a JSON file; raises OSError as `read_text`, ValueError as `parse_json`."""
    return parse_json(read_text(path))


def _refuse(status: os.stat_result, name: str, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it must be a regular file and is {kind}", name)
    if status.st_size > limit:
        raise _too_large(status.st_size, name, limit)


def _too_large(size: int, name: str, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it must have at most {limit:,} bytes and has {size:,}", name)
