"""A run's checkpoints: folders of safetensors and JSON under a SHA-256 manifest; the newest undamaged one is used.

A checkpoint holds the trained parameters, their moving average, the optimizer's moments, the step and the elapsed
seconds: everything that is not a pure function of (seed, step). The base model is not in it.
"""

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar, final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from radapter.adapter import Ema
from radapter.errors import DamagedError, DiskError, RunError
from radapter.manifests import check_finished, write_manifest
from radapter.methods import Learner, trained_parameters
from radapter.processes import Processes, is_shared
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, whole_folder, write_json
from radapter.training.parallel import ParallelLearner

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"step-\d{8}")
_SCHEMA = 1
Item = TypeVar("Item")


class _State(BaseModel):
    """state.json; older ones have neither schema nor seconds."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    step: int = Field(ge=0)
    counters: dict[str, int]
    scaler: dict[str, float]
    seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to continue.

    step: completed steps. parameters, average: the trained parameters and their moving average, by name. optimizer:
    AdamW's state, `torch.optim.Optimizer.state_dict()["state"]`. scaler: fp16's gradient scaler; empty for other
    precisions. seconds: training time so far, including the time before an interruption.
    """

    step: int
    parameters: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    counters: dict[str, int]
    scaler: dict[str, float]
    seconds: float


class Checkpoints:
    """The folder `checkpoints/` of one run; keeps two by default, because the newest may be damaged."""

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder = folder
        self._keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint, removes those beyond `keep` and returns its folder. Raises DiskError if the disk is
        full or read-only; the earlier ones stay."""
        target = self.folder / f"step-{checkpoint.step:08d}"
        with whole_folder(target, replace=True) as draft:
            save_tensors(draft / "parameters.safetensors", checkpoint.parameters)
            save_tensors(draft / "average.safetensors", checkpoint.average)
            save_tensors(draft / "optimizer.safetensors", _flat(checkpoint.optimizer))
            state = {name: getattr(checkpoint, name) for name in _State.model_fields}
            write_json(draft / "state.json", {"schema": _SCHEMA, **state})
            write_manifest(draft)
        for old in self._all()[: -self._keep]:
            shutil.rmtree(old)
        return target

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint whose files match their manifest, or None if there is none; damaged ones are logged.
        Raises RunError if there are checkpoints, and all of them are damaged."""
        found = self._all()
        for folder in reversed(found):
            try:
                check_finished(folder)
            except DamagedError as error:
                _LOG.warning("checkpoint passed over: %s", error)
                continue
            return Checkpoint(
                **read_as(folder / "state.json", _State, reads=(_SCHEMA,)).model_dump(),
                parameters=load_weights(folder / "parameters.safetensors"),
                average=load_weights(folder / "average.safetensors"),
                optimizer=_nested(load_weights(folder / "optimizer.safetensors")),
            )
        if found:
            raise RunError(
                f"a run continues from a whole checkpoint. All {len(found)} in '{self.folder}' are damaged. Restore "
                "one from a backup, or remove the folder to start from step 0."
            )
        return None

    def warn_of_space(self, size: int) -> None:
        """Warns if checkpoints and results of trained parameters of `size` bytes will not fit the disk."""
        # Parameters, averages and AdamW's two moments; one more than `keep` exists while the oldest is replaced.
        needed = 4 * size * max(self._keep + 1 - len(self._all()), 1) + size
        place = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(place).free
        if free < needed:
            _LOG.warning(
                "checkpoints and results need about %.0f MiB in '%s', which has %.0f MiB free. Free some space: a "
                "checkpoint that does not fit is left out.",
                *(needed / 2**20, place, free / 2**20),
            )

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


@final
class Stopwatch:
    """Seconds of a training, by a monotonic clock; a resumed one adds those that its checkpoint had counted."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._started = clock, clock()

    @property
    def seconds(self) -> float:
        """Seconds since its creation, and those added."""
        return self._clock() - self._started

    def add(self, seconds: float) -> None:
        """Adds seconds from before its creation."""
        self._started -= seconds


@dataclass(frozen=True)
class Saving:
    """When and where a training is saved and resumed.

    checkpoints: None saves nothing. resume: whether to continue from the newest undamaged one, if there is one.
    every: steps between checkpoints; None for an epoch. minutes: after which one is saved in any case, by the main
    process's clock; None for never. None is saved while steps are skipped, because the state may be what diverged.
    watch: counts the seconds that checkpoints record.
    """

    checkpoints: Checkpoints | None = None
    resume: bool = False
    every: int | None = None
    minutes: float | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)


class LoopState:
    """The state that changes from step to step, saved and resumed. Every process calls every method."""

    def __init__(
        self,
        learner: Learner,
        ema: Ema,
        parallel: ParallelLearner,
        scaler: torch.amp.GradScaler | None,
        saving: Saving,
        processes: Processes,
    ) -> None:
        self._parameters = trained_parameters(learner)
        self._ema, self._parallel, self._scaler = ema, parallel, scaler
        self._checkpoints, self._watch, self._processes = saving.checkpoints, saving.watch, processes
        self._seconds = float("inf") if saving.minutes is None else 60 * saving.minutes
        self._last, self._saved, self._is_wanted = time.monotonic(), 0, False
        self.step = self.skipped = self.skipped_in_a_row = 0

    def count(self, *, accepted: bool) -> None:
        """Counts a step, accepted or skipped."""
        self.step += 1
        self.skipped += not accepted
        self.skipped_in_a_row = 0 if accepted else self.skipped_in_a_row + 1
        if accepted:
            self._parallel.publish()
            self._ema.update()

    @torch.no_grad()
    def start(self, *, resume: bool) -> None:
        """Continues from the newest checkpoint, if there is one, and warns if checkpoints will not fit the disk."""
        if self._checkpoints is None:
            return
        size = sum(parameter.nbytes for parameter in self._parameters.values())
        self._processes.on_main(partial(self._checkpoints.warn_of_space, size))
        checkpoint = self._processes.on_main(self._checkpoints.newest) if resume else None
        if checkpoint is None:
            return
        for name, parameter in self._parameters.items():
            parameter.copy_(checkpoint.parameters[name])
        self._ema.load_state_dict(checkpoint.average)
        self._parallel.restore(checkpoint.optimizer)
        if self._scaler is not None:
            self._scaler.load_state_dict(checkpoint.scaler)
        self._watch.add(checkpoint.seconds)
        self.step = self._saved = checkpoint.step
        self.skipped = checkpoint.counters["skipped"]
        self.skipped_in_a_row = checkpoint.counters["skipped_in_a_row"]

    def save_if_due(self, *, due: bool, asked: bool) -> bool:
        """Saves if it is time; returns whether any process is asked to stop. Raises DiskError if a checkpoint does
        not fit, and the run is to stop; otherwise a warning is logged and training goes on."""
        late = time.monotonic() - self._last > self._seconds
        found = self._processes.gather((asked, late))
        is_asked, is_late = any(asked for asked, _ in found), found[0][1]
        self._is_wanted |= due or is_asked or is_late
        if self._is_wanted:
            self._save(must=is_asked)
        return is_asked

    def saving_on_error(self, batches: Iterator[Item]) -> Iterator[Item]:
        """Yields the batches; if reading them fails, as when a reader is killed, saves the completed steps."""
        try:
            yield from batches
        except Exception as error:
            if self._processes.size == 1 or is_shared(error):
                self._save(must=False)
            raise

    def _save(self, *, must: bool) -> None:
        # Not if the last step was skipped: a diverged state must not replace a good checkpoint.
        if self._checkpoints is None or self.skipped_in_a_row or self.step == self._saved:
            return
        checkpoint = Checkpoint(
            step=self.step,
            parameters={name: p.detach() for name, p in self._parameters.items()},
            average=self._ema.state_dict(),
            optimizer=self._parallel.optimizer_state(),
            counters={"skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row},
            scaler={} if self._scaler is None else self._scaler.state_dict(),
            seconds=self._watch.seconds,
        )
        try:
            self._processes.on_main(partial(self._checkpoints.save, checkpoint))
            self._saved = self.step
        except DiskError as error:
            if must:
                raise
            if self._processes.is_main:
                _LOG.warning("no checkpoint at step %d: %s Training goes on without it.", self.step, error)
        self._last, self._is_wanted = time.monotonic(), False


def _flat(state: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, entries in state.items()
        for name, value in entries.items()
    }


def _nested(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    return state
