"""A run's checkpoints: folders of safetensors and JSON under a SHA-256 manifest; the newest undamaged one is used.

A checkpoint holds the trained parameters, their moving average, the optimizer's moments, the step and the elapsed
seconds: everything that is not a pure function of (seed, step). The base model is not in it.
"""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from radapter.errors import DamagedError, RunError
from radapter.manifests import check_finished, write_manifest
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, whole_folder, write_json

_LOG = logging.getLogger(__name__)
_NAME = re.compile(r"step-\d{8}")
_SCHEMA = 1


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

    Attributes:
        step: Completed steps.
        parameters: The trained parameters, by name.
        average: Their moving average, by name.
        optimizer: AdamW's state, `torch.optim.Optimizer.state_dict()["state"]`: tensors by parameter number.
        counters: Whole numbers, such as skipped steps.
        scaler: fp16's gradient scaler; empty for other precisions.
        seconds: Training time so far, that before an interruption included.
    """

    step: int
    parameters: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    counters: dict[str, int]
    scaler: dict[str, float]
    seconds: float


class Checkpoints:
    """The folder `checkpoints/` of one run.

    Args:
        folder: Its path.
        keep: Number to keep. Two, because the newest may be damaged.
    """

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
            state = {
                "schema": _SCHEMA,
                "step": checkpoint.step,
                "counters": checkpoint.counters,
                "scaler": checkpoint.scaler,
                "seconds": checkpoint.seconds,
            }
            write_json(draft / "state.json", state)
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
            state = read_as(folder / "state.json", _State, reads=(_SCHEMA,))
            return Checkpoint(
                step=state.step,
                parameters=load_weights(folder / "parameters.safetensors"),
                average=load_weights(folder / "average.safetensors"),
                optimizer=_nested(load_weights(folder / "optimizer.safetensors")),
                counters=state.counters,
                scaler=state.scaler,
                seconds=state.seconds,
            )
        if found:
            raise RunError(
                f"a run continues from a whole checkpoint. All {len(found)} in '{self.folder}' are damaged. Restore "
                "one from a backup, or remove the folder to start from step 0."
            )
        return None

    def warn_of_space(self, size: int) -> None:
        """Warns if the disk has less space than the checkpoints and the outcome need.

        A checkpoint holds four times the `size` in bytes of the trained parameters: parameters, averages and AdamW's
        two moments. One more than `keep` exists while the oldest is replaced.
        """
        needed = 4 * size * max(self._keep + 1 - len(self._all()), 1) + size
        place = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(place).free
        if free < needed:
            _LOG.warning(
                "checkpoints and results need about %.0f MiB in '%s', which has %.0f MiB free. Free some space: a "
                "checkpoint that does not fit is left out.",
                needed / 2**20,
                place,
                free / 2**20,
            )

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))


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
