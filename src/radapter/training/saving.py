"""The state that changes from step to step, and its checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar, final

import torch
from torch import nn

from radapter.adapter import Ema
from radapter.errors import DiskError
from radapter.processes import Processes, is_shared
from radapter.training.checkpoints import Checkpoint, Checkpoints
from radapter.training.spread import Spread

_LOG = logging.getLogger(__name__)
Item = TypeVar("Item")


@final
class Stopwatch:
    """Seconds of a training; a resumed one adds those that its checkpoint had counted.

    Args:
        clock: Returns monotonic seconds; the origin is arbitrary.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = clock()
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since its creation, and those added."""
        return self._before + self._clock() - self._started

    def add(self, seconds: float) -> None:
        """Adds seconds from before its creation."""
        self._before += seconds


class LoopState:
    """The state that changes from step to step, and its checkpoint."""

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        ema: Ema,
        spread: Spread,
        scaler: torch.amp.GradScaler | None,
        watch: Stopwatch,
    ) -> None:
        self._parameters, self._ema, self._spread, self._scaler = parameters, ema, spread, scaler
        self._watch = watch
        self.step = self.skipped = self.skipped_in_a_row = 0

    def count(self, *, accepted: bool) -> None:
        """Counts a step, accepted or skipped."""
        self.step += 1
        if accepted:
            self._spread.publish()
            self._ema.update()
            self.skipped_in_a_row = 0
        else:
            self.skipped += 1
            self.skipped_in_a_row += 1

    @property
    def parameter_bytes(self) -> int:
        """Size of the trained parameters."""
        return sum(parameter.nbytes for parameter in self._parameters.values())

    def checkpoint(self) -> Checkpoint:
        """The current state; every process must call this."""
        return Checkpoint(
            step=self.step,
            parameters={name: p.detach() for name, p in self._parameters.items()},
            average=self._ema.state_dict(),
            optimizer=self._spread.optimizer_state(),
            counters={"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row},
            scaler=self._scaler.state_dict() if self._scaler is not None else {},
            seconds=self._watch.seconds,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a checkpoint."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(checkpoint.parameters[name])
        self._ema.load_state_dict(checkpoint.average)
        self._spread.restore(checkpoint.optimizer)
        if self._scaler is not None:
            self._scaler.load_state_dict(checkpoint.scaler)
        self._watch.add(checkpoint.seconds)
        self.step = checkpoint.step
        self.skipped = checkpoint.counters["skipped"]
        self.skipped_in_a_row = checkpoint.counters["skipped_in_a_row"]


class Saving:
    """Decides when to save a checkpoint, and handles failures. Every process calls every method."""

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        state: LoopState,
        processes: Processes,
        *,
        minutes: float | None,
    ) -> None:
        self._checkpoints, self._state, self._processes = checkpoints, state, processes
        self._seconds = float("inf") if minutes is None else 60 * minutes
        self._last, self._saved, self._is_wanted = time.monotonic(), 0, False

    def restore(self) -> None:
        """Continues from the newest checkpoint, if there is one."""
        if self._checkpoints is not None:
            checkpoint = self._processes.on_main(self._checkpoints.newest)
            if checkpoint is not None:
                self._state.restore(checkpoint)
                self._saved = checkpoint.step

    def warn_of_space(self) -> None:
        """Warns if checkpoints will not fit the disk."""
        if self._checkpoints is not None:
            self._checkpoints.warn_of_space(self._state.parameter_bytes)

    def after_step(self, *, due: bool, asked: bool) -> bool:
        """Saves if it is time; returns whether any process is asked to stop. Raises DiskError if a checkpoint does
        not fit, and the run is to stop; otherwise a warning is logged and training goes on."""
        late = time.monotonic() - self._last > self._seconds
        found = self._processes.gather((asked, late))
        is_asked, is_late = any(asked for asked, _ in found), found[0][1]
        self._is_wanted |= due or is_asked or is_late
        if self._is_wanted:
            self._save(must=is_asked)
        return is_asked

    def on_error(self, batches: Iterator[Item]) -> Iterator[Item]:
        """Yields the batches; if reading them fails, for example because a reader was killed, saves the completed
        steps.
        """
        try:
            yield from batches
        except Exception as error:
            if self._processes.size == 1 or is_shared(error):
                self._save(must=False)
            raise

    def _save(self, *, must: bool) -> None:
        """Saves, unless that is done, or the last step was skipped: a diverged state must not replace a good
        checkpoint.
        """
        step = self._state.step
        if self._checkpoints is None or self._state.skipped_in_a_row or step == self._saved:
            return
        try:
            self._processes.on_main(partial(self._checkpoints.save, self._state.checkpoint()))
            self._saved = step
        except DiskError as error:
            if must:
                raise
            if self._processes.is_main:
                _LOG.warning("no checkpoint at step %d: %s Training goes on without it.", step, error)
        self._last, self._is_wanted = time.monotonic(), False
