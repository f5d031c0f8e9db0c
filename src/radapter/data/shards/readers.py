"""Reader processes: the signals that end a run reach them too, and they may be killed, for example without memory.

A run ends with a checkpoint, so only its own process handles signals. It learns about a killed reader when it asks
for the next batch, not in the middle of a step.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from typing import TypeVar

from radapter.errors import ReaderError
from radapter.processes import STOPPING

Item = TypeVar("Item")


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
