"""What a page shows of a run or a comparison, read from its folder; older versions did not write all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from radapter.comparison.chosen import CHOSEN, COMPARISON, Chosen
from radapter.config import CommonConfig, load_stored
from radapter.errors import RunError
from radapter.runs.alpha_sweep import PSEUDO_VALUES, read_answers, read_moved
from radapter.runs.directory import CONFIG
from radapter.runs.inputs import Inputs
from radapter.runs.movement import Moved
from radapter.runs.results import RESULTS, Results
from radapter.runs.tracking import EPOCHS, METRICS, lines_of
from radapter.runs.versions import read_versions
from radapter.runs.weights import TRAINED, read_about
from radapter.storage import load_weights

Values = Mapping[str, NDArray[np.float32]]
"""ALPHA/ROLE/NAME -> one value per image, (N,), the mean over seeds with the same images."""


@dataclass(frozen=True)
class Logged:
    """The training of one method at one seed: its steps, and its epochs with ID validation."""

    method: str
    steps: list[dict[str, Any]]
    epochs: list[dict[str, Any]]


@dataclass(frozen=True)
class Folder:
    """A finished run or comparison. `first` is the method with the best score on ID validation; None if none was
    trained."""

    path: Path
    results: Results
    trainings: Mapping[str, Mapping[int, Path]]
    alphas: Mapping[str, float]

    @property
    def is_run(self) -> bool:
        """Whether it is a run of one method."""
        return (self.path / CONFIG).is_file()

    @property
    def first(self) -> str | None:
        """The method whose single images, layers and classes are shown."""
        trained = [row.method for row in self.results.rows if row.method != "zero-shot"]
        return max(trained, key=self._on_validation, default=None)

    def _on_validation(self, method: str) -> float:
        row, headline = self.results.row(method), self.results.headline
        points = [
            point for point in self.results.sweep if point.method == method and point.id_val is not None
        ]
        if not points:
            return row.id_mean
        nearest = min(points, key=lambda point: abs(point.alpha - row.alpha))
        return headline.score(nearest.id_val or {})

    def training(self, method: str) -> Path:
        """The folder of a method's training at the first seed."""
        return self.trainings[method][self.results.seed]

    def values(self, method: str) -> Values:
        """The pseudo-values of a method; empty if a seed has none or other numbers of images."""
        files = [folder / PSEUDO_VALUES for folder in self.trainings.get(method, {}).values()]
        if not files or not all(file.is_file() for file in files):
            return {}
        found = [load_weights(file) for file in files]
        return {
            name: np.mean([of[name].numpy() for of in found], axis=0)
            for name in found[0]
            if all(name in of and of[name].shape == found[0][name].shape for of in found)
        }

    def answers(self, method: str) -> dict[str, Tensor]:
        """The answers on single images at the first seed."""
        return read_answers(self.training(method))

    def moved(self, method: str) -> list[Moved]:
        """What training changed at the first seed."""
        return read_moved(self.training(method))

    def about(self, method: str) -> dict[str, Any]:
        """The facts of a training; empty if its weights were removed."""
        folder = self.training(method)
        return read_about(folder) if (folder / TRAINED).is_file() else {}

    def logged(self) -> list[Logged]:
        """The logs of every training at the first seed; methods that share a training have one."""
        by_folder: dict[Path, Logged] = {}
        for method in self.trainings:
            folder = self.training(method)
            found = Logged(method, lines_of(folder / METRICS, "step"), lines_of(folder / EPOCHS, "epoch"))
            if found.steps:
                by_folder.setdefault(folder, found)
        return list(by_folder.values())

    def config_text(self) -> str:
        """The settings, as they are stored; empty if there are none."""
        files = (self.path / CONFIG, self.path / COMPARISON)
        return next((file.read_text(encoding="utf-8") for file in files if file.is_file()), "")

    def config(self) -> CommonConfig:
        """The settings. Raises RunError if there are none, and ConfigError."""
        for file in (self.path / CONFIG, self.path / COMPARISON):
            if file.is_file():
                return load_stored(file)
        raise RunError(f"'{self.path}' has no settings, so its data cannot be opened again.")

    def inputs(self) -> Inputs | None:
        """The fingerprints of the data."""
        return Inputs.read(self.path)

    def versions(self) -> dict[str, str]:
        """The versions that computed the results."""
        return read_versions(self.path)


def read_folder(path: Path) -> Folder:
    """Reads a finished run or comparison.

    Raises RunError if there are no results, and DamagedError if a file differs from the manifest.
    """
    if not (path / RESULTS).is_file():
        raise RunError(
            f"'{path}' must be a finished run or comparison and has no {RESULTS}. Finish it with the command that "
            "started it, or give another folder."
        )
    results = Results.read(path)
    rows = {row.method: row for row in results.rows if row.method != "zero-shot"}
    if (path / CHOSEN).is_file():
        chosen = Chosen.read(path)
        known = {
            method: {int(seed): of for seed, of in seeds.items() if int(seed) in results.seeds}
            for method, seeds in chosen.methods.items()
            if method in rows
        }
        known = {method: seeds for method, seeds in known.items() if results.seed in seeds}
        trainings = {
            method: {seed: path / of.training for seed, of in seeds.items()}
            for method, seeds in known.items()
        }
        return Folder(
            path, results, trainings, {method: of[results.seed].alpha for method, of in known.items()}
        )
    here = rows if len(rows) == 1 else {}  # a demo keeps no training
    return Folder(
        path,
        results,
        {method: {results.seed: path} for method in here},
        {m: r.alpha for m, r in here.items()},
    )
