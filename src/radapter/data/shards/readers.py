"""Reader processes: the signals that end a run reach them too, and they may be killed, as by the lack of memory.

A run ends with a checkpoint, so its process alone hears signals, and it learns of a killed reader where it asks for
the next batch, not in the middle of a step.
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
    """Called first in every reader: it ignores signals that are sent to all, and ends when its parent does."""
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def read_by_processes(loader: Iterable[Item], name: str) -> Iterator[Item]:
    """What the readers of a `DataLoader` give.

    Args:
        loader: with `begin_reader`.
        name: of what is read, for the message.

    Raises:
        ReaderError: a reader was killed.
    """
    is_told = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD")
    before = signal.getsignal(signal.SIGCHLD) if is_told else None
    items = iter(loader)
    if is_told:  # torch's handler raises wherever the main thread is, also between two halves of a step
        signal.signal(signal.SIGCHLD, before)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            # what a reader raised has no cause; one that is gone leaves an empty queue or a closed pipe
            if isinstance(error, RuntimeError) and error.__cause__ is None:
                raise
            raise ReaderError(
                f"every reader process of '{name}' must live as long as the run. One was killed: {error}. Usually "
                "memory ran out: give fewer 'readers' or a smaller 'buffer' with the stream, or lower "
                "train.workers, which each reader has."
            ) from error
        yield item
