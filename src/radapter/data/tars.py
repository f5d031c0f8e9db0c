"""Images and small texts in tar files, read in place: nothing is extracted, and sizes are bounded.

A tar is listed once; each member is then read by its offset. Refused are compressed tars, which have no offsets, and
members that are no plain files (links, devices), leave the folder by their name, or are too large.
"""

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from PIL import Image

from radapter.data.images.decoding import MAX_PIXELS, decode
from radapter.errors import DataError, ImageError

MAX_MEMBER = 256 * 2**20
MAX_TEXT = 2**20
"""`MAX_MEMBER`, `MAX_TEXT`: bytes that a member of a tar may have, and one of text."""
_BLOCK = 512


class Member(NamedTuple):
    """A file in a tar; `offset` is where its `size` bytes begin."""

    tar: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.tar}::{self.name}"

    def read(self) -> bytes:
        """The member's bytes; raises OSError."""
        with Path(self.tar).open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def list_tar(path: Path, *, max_member: int = MAX_MEMBER) -> list[Member]:
    """Lists the files in an uncompressed tar, in its order.

    Raises DataError if the tar is missing, compressed, cut off or damaged, or a member is no plain file, leaves the
    folder or has more than `max_member` bytes.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:", errorlevel=2) as tar:
            found = [_checked(member, path, max_member=max_member) for member in tar if not member.isdir()]
            file.seek(tar.offset)
            rest = file.read(_BLOCK)
            if len(rest) < _BLOCK or any(
                rest
            ):  # tarfile accepts a tar that is cut off between or inside headers
                raise tarfile.ReadError(f"no end mark after byte {tar.offset}")
    except (OSError, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"tar must be a whole, uncompressed tar file. '{path}': {error}. Copy or write it again."
        ) from error
    return found


def samples(members: Sequence[Member]) -> dict[str, dict[str, Member]]:
    """Groups the members of a tar by sample: sample key -> extension -> member; raises DataError for equal names.

    The key is the path up to the first dot of the file name, the extension what follows it.
    """
    found: dict[str, dict[str, Member]] = {}
    for member in members:
        folder, slash, last = member.name.rpartition("/")
        stem, dot, extension = last.partition(".")
        if not stem or not dot:  # hidden files and files without an extension belong to no sample
            continue
        parts = found.setdefault(folder + slash + stem, {})
        if extension.lower() in parts:
            raise DataError(f"names in a tar must differ. '{member}' occurs twice. Write the tar again.")
        parts[extension.lower()] = member
    return found


def text_of(member: Member) -> str:
    """The UTF-8 text of a member; raises DataError if it is too large, cannot be read, or is no UTF-8."""
    if member.size > MAX_TEXT:
        raise DataError(f"text in a tar must have at most {MAX_TEXT} bytes. '{member}' has {member.size}.")
    try:
        return member.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"text in a tar must be UTF-8. '{member}': {error}. Write it again.") from error


class TarImages:
    """Image files in tars, one member per image; images of more than `max_pixels` are refused."""

    def __init__(self, members: Sequence[Member], *, max_pixels: int = MAX_PIXELS) -> None:
        self._members = list(members)
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self._members)

    def image(self, index: int) -> Image.Image:
        """Decodes one member to RGB; raises ImageError."""
        return decode(self.content(index), where=self.where(index), max_pixels=self._max_pixels)

    def content(self, index: int) -> bytes:
        """The member's bytes; raises ImageError if the tar cannot be read, or the member is empty."""
        if self._members[index].size == 0:
            raise ImageError(f"every sample of a tar must have an image. '{self.where(index)}' has none.")
        try:
            return self._members[index].read()
        except OSError as error:
            raise ImageError(f"tar must be readable. '{self.where(index)}': {error.strerror}.") from error

    encoded = content

    def where(self, index: int) -> str:
        """The tar, two colons, and the member's name."""
        return str(self._members[index])


def image_in(parts: Mapping[str, Member], extensions: Sequence[str]) -> Member | None:
    """The sample's image: the member with the first of `extensions` that exists."""
    return next((parts[extension] for extension in extensions if extension in parts), None)


def _checked(member: tarfile.TarInfo, path: Path, *, max_member: int) -> Member:
    named = f"'{path}' holds '{member.name}'"
    if not member.isreg() or member.issparse():
        raise DataError(
            f"members of a tar must be plain files. {named}, a link or a device. Write the tar again without it."
        )
    if PureWindowsPath(member.name).anchor or ".." in PureWindowsPath(member.name).parts:
        raise DataError(f"names in a tar must stay inside it. {named}. Write it again with relative names.")
    if member.size > max_member:
        raise DataError(f"members of a tar must have at most {max_member} bytes. {named} with {member.size}.")
    return Member(str(path), member.name, member.offset_data, member.size)
