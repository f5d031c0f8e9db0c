"""Defers Ctrl-C, SIGTERM and the like to the end of the current step, so that it is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from radapter.processes import STOPPING


class Interrupted(KeyboardInterrupt):
    """Training stopped by a signal, after saving. The command line exits 130."""


class StopSignal:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears `STOPPING` while the block runs. After the first signal a Ctrl-C acts at once, as without this.

        Schedulers and terminals send the others more than once. One that is ignored, as SIGHUP under nohup, stays
        so; a shell ignores SIGINT in background jobs, where `kill -INT` still means to stop.
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
