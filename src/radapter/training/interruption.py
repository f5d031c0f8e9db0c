"""Ctrl-C and SIGTERM as a wish, heard between two steps, so that the step in hand ends and is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training stopped by a signal, after saving. The command line exits 130."""


class StopSignal:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears SIGINT and SIGTERM while the block runs. A second one acts at once, as without this."""
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def hear(number: int, frame: FrameType | None) -> None:
            self.asked = True
            for each, handler in old.items():
                signal.signal(each, handler)

        try:
            for number in old:
                signal.signal(number, hear)
        except (
            ValueError
        ):  # only the main thread may set handlers; elsewhere the caller has its own way to stop
            yield
            return
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
