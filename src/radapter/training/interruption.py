"""Defers Ctrl-C, SIGTERM and the like to the end of the current step, so that it is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from radapter.processes import STOPPING


class Interrupted(KeyboardInterrupt):
    """Training stopped by a signal, after saving. The command line exits 130."""


class StopSignal:
    """Records whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles `STOPPING` while the block runs; after the first signal a Ctrl-C acts at once.

        Schedulers and terminals send the other signals more than once. A signal that is ignored, such as SIGHUP
        under nohup, stays ignored. SIGINT is the exception: a shell ignores it in background jobs, where `kill -INT`
        still means to stop.
        """
        handlers = {number: signal.getsignal(number) for number in STOPPING}
        old = {n: h for n, h in handlers.items() if h != signal.SIG_IGN or n == signal.SIGINT}

        def hear(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, old[signal.SIGINT])

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
