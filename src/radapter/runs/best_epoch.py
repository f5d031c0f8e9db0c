"""The best epoch on ID validation: its averaged weights are kept while training continues."""

from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from radapter.adapter import Ema
from radapter.evaluation import Metrics
from radapter.manifests import check_recorded, write_manifest
from radapter.processes import ALONE, Processes
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, whole_folder, write_json

_AVERAGE, _CHOICE = "average.safetensors", "choice.json"
_SCHEMA = 1


class _Choice(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: int = Field(ge=0)
    metrics: Metrics


class BestEpoch:
    """Called after every epoch by all processes; keeps the averages of the best one, in memory and in a folder.

    `validated` returns the metrics on ID validation at the current weights, and `is_better` compares them as
    `Headline.is_better`. Without a folder they do not outlive the process. With `resume`, the choice continues
    from the folder; its epoch may be later than the checkpoint, since a repeated epoch gives the same figures.
    `report` is called with every epoch and its metrics.
    """

    def __init__(
        self,
        ema: Ema,
        validated: Callable[[], Metrics],
        is_better: Callable[[Metrics, Metrics | None], bool],
        *,
        folder: Path | None,
        resume: bool,
        processes: Processes = ALONE,
        report: Callable[[int, Metrics], None] = lambda _, __: None,
    ) -> None:
        self._ema, self._validated, self._is_better, self._folder = ema, validated, is_better, folder
        self._processes, self._report = processes, report
        self.epoch: int | None = None
        self._metrics: Metrics | None = None
        self._average: dict[str, Tensor] = {}
        kept = processes.on_main(lambda: _read(folder)) if resume and folder is not None else None
        if kept is not None:
            self.epoch, self._metrics, self._average = kept

    def __call__(self, epoch: int) -> None:
        """Validates the averages after `epoch`, counted from 0; of equal epochs the earlier one is kept."""
        with self._ema.applied():
            found = self._validated()
        self._report(epoch, found)
        if not self._is_better(found, self._metrics):
            return
        self.epoch, self._metrics = epoch, found
        self._average = {name: average.clone() for name, average in self._ema.state_dict().items()}
        self._processes.on_main(self._write)

    def _write(self) -> None:
        if self._folder is not None:
            with whole_folder(self._folder, replace=True) as draft:
                save_tensors(draft / _AVERAGE, self._average)
                choice = {"schema": _SCHEMA, "epoch": self.epoch, "metrics": self._metrics}
                write_json(draft / _CHOICE, choice)
                write_manifest(draft)

    @torch.no_grad()
    def restore(self) -> None:
        """Restores the averages of the best epoch."""
        self._ema.load_state_dict(self._average)


def _read(folder: Path) -> tuple[int, Metrics, dict[str, Tensor]] | None:
    """Epoch, metrics and averages of the folder; None if it has none."""
    if not folder.is_dir():
        return None
    check_recorded(folder)
    if not (folder / _CHOICE).is_file():
        return None
    choice = read_as(folder / _CHOICE, _Choice, reads=(_SCHEMA,))
    return choice.epoch, choice.metrics, load_weights(folder / _AVERAGE)
