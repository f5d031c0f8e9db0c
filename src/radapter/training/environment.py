"""What surrounds a training: processes, memory, the signal to stop, and the callbacks that report progress."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NamedTuple

from radapter.data import Memory
from radapter.processes import ALONE, STOPPING, Processes


class Interrupted(KeyboardInterrupt):
    """Training stopped by a signal, after saving. The command line exits 130."""


class StopSignal:
    """Defers Ctrl-C, SIGTERM and the like to the end of the current step, so that it is saved."""

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


@dataclass(frozen=True)
class Progress:
    """State after a training step.

    step: completed, of `steps`. loss: nats. images_per_second: of all processes, since this one began.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    skipped: int


class Evaluated(NamedTuple):
    """Progress of the evaluation of several sets at several alphas.

    method: the row that is computed. name: of the set, such as "ood/sketch". images: in the set, or in this
    process's share. done: images evaluated so far of `total`, over all sets, once per alpha. seconds: time for the
    set; None while it is being evaluated.
    """

    method: str
    name: str
    images: int
    alphas: int
    done: int
    total: int
    seconds: float | None


@dataclass(frozen=True)
class Environment:
    """What surrounds a training and its evaluation, and does not change the result.

    processes: share the work; all call the same functions with the same arguments. memory: for preprocessed
    images; None keeps none. stop: requests to save and stop. report, evaluated: called after each training step,
    and as images are evaluated. validated: called with the number of an epoch, from 0, and the metrics on ID
    validation after it, where epochs are validated.
    """

    processes: Processes = ALONE
    memory: Memory | None = None
    stop: StopSignal = field(default_factory=StopSignal)
    report: Callable[[Progress], None] = lambda _: None
    evaluated: Callable[[Evaluated], None] = lambda _: None
    validated: Callable[[int, Mapping[str, float]], None] = lambda _, __: None
