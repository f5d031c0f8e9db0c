"""Reads the samples of shards sequentially through webdataset, in this process or in reader processes.

Each shard is checked before it is used. A run ends with a checkpoint, so only its own process handles signals. It
learns about a killed reader when it asks for the next batch, not in the middle of a step.
"""

import multiprocessing
import os
import signal
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from multiprocessing.connection import wait
from typing import TypeVar, final

from radapter.data.shards.parts import IMAGES, content_key
from radapter.data.shards.plan import Segment
from radapter.data.shards.sizes import Shards, refuse_count
from radapter.data.shards.writing import require_webdataset
from radapter.errors import DataError, ReaderError
from radapter.given_files import parse_json
from radapter.processes import STOPPING

Item = TypeVar("Item")


@final
@dataclass(frozen=True)
class Streamed:
    """A sample as stored in a shard."""

    number: int  # among all samples of the folder, in the order of shard names
    where: str  # its shard and key, for messages
    image: bytes  # an image file
    key: int  # content key, int64
    label: int  # its class, or its target class
    group: int | None = None  # of a captioned image
    captions: tuple[str, ...] = ()  # of a captioned image


def read(shards: Shards, wanted: Sequence[Segment]) -> Iterator[Streamed]:
    """The samples of some segments of complete shards, in order.

    Raises:
        DataError: A shard is damaged or has another number of samples than in sizes.json, or a sample is not as
            `radapter shards` writes it.
        MissingExtraError: webdataset is not installed.
    """
    require_webdataset()
    from webdataset import tariterators

    paths, first = shards.paths, [0, *accumulate(shards.counts.values())]
    for segment in wanted:
        path = paths[segment.shard]
        # webdataset reads a member of any size, and takes a link or a truncated tar for the end.
        refuse_count(shards, path)
        try:
            # The file is opened here: webdataset's own opener runs names that begin with "pipe:" as commands.
            with path.open("rb") as file:
                files = tariterators.tar_file_expander([{"url": str(path), "stream": file}])
                found = enumerate(tariterators.group_by_keys(files))
                for place, parts in islice(found, segment.start, segment.stop):
                    number, where = first[segment.shard] + place, f"{path}::{parts['__key__']}"
                    yield _streamed(number, where, parts, is_labelled="classnames" in shards.about)
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"shards must be readable. '{path}': {error}. Copy or write it again.") from error


def _streamed(number: int, where: str, parts: Mapping[str, bytes], *, is_labelled: bool) -> Streamed:
    try:
        content = parse_json(parts["json"])
        image = next(parts[extension] for extension in IMAGES.values() if extension in parts)
        key = content_key(content)
        if key is None:
            raise ValueError("no content key")
        if is_labelled:
            return Streamed(number, where, image, key, int(parts["cls"]))
        target, group, captions = content["target"], content["group"], content["captions"]
        if (
            type(target) is not int
            or type(group) is not int
            or not isinstance(captions, list)
            or not captions
        ):
            raise ValueError("no target, group or captions")
        if not all(isinstance(caption, str) and caption.strip() for caption in captions):
            raise ValueError("a caption is empty")
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"a sample must be as 'radapter shards' writes it. '{where}' is not. Write the folder again."
        ) from error
    return Streamed(number, where, image, key, target, group, tuple(captions))


def begin_reader(number: int) -> None:
    """Starts a reader: it ignores signals that are sent to all processes, and ends when its parent does."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def read_by_processes(loader: Iterable[Item], name: str) -> Iterator[Item]:
    """Yields the items of a `DataLoader` whose workers start with `begin_reader`.

    Raises:
        ReaderError: A reader of the set `name` was killed.
    """
    is_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    before = signal.getsignal(signal.SIGCHLD) if is_main else None
    items = iter(loader)
    if is_main:  # torch's handler raises wherever the main thread is, also between two halves of a step
        signal.signal(signal.SIGCHLD, before)
    try:
        yield from items
    except (RuntimeError, OSError, EOFError) as error:
        # an error raised in a reader has no cause; a killed reader leaves an empty queue or a closed pipe
        if isinstance(error, RuntimeError) and error.__cause__ is None:
            raise
        raise ReaderError(
            f"every reader process of '{name}' must live as long as the run. One was killed: {error}. Usually "
            "memory ran out: set fewer 'readers' or a smaller 'buffer' for the stream, or lower train.workers, "
            "which each reader has."
        ) from error
