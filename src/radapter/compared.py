"""A comparison of methods: made by `compare`, opened by `open_comparison`.

comparison = radapter.compare("run.yaml", methods=["full", "r-adapter"], seeds=3, out="compared")
comparison.results.row("r-adapter").mean("ood_mean")
comparison.merge("merged", method="r-adapter")
"""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

from radapter.comparison.chosen import CHOSEN, COMPARISON, Chosen
from radapter.config import load_config, overridden
from radapter.errors import ConfigError, RunError
from radapter.operations import comparing
from radapter.operations.bars import shown
from radapter.operations.compared_runs import run_of_comparison
from radapter.operations.merging import Format, merge
from radapter.run import Given, Run
from radapter.runs.results import Results


def compare(
    config: Given | None = None,
    overrides: Sequence[str] = (),
    *,
    methods: str | Sequence[str] = "foundation",
    seeds: int = 3,
    standard_models: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> "Comparison":
    """Compare methods over several seeds, as `radapter compare` does.

    Learning rate, epoch and alpha are selected on ID validation only, in the same way for every method. If
    interrupted, the same call continues.

    Args:
        config: The path of a run.yaml, or a mapping with the same keys. None takes keyword arguments alone.
        overrides: "train.lr=1e-3", as on the command line. Keyword arguments come after them.
        methods: Names of methods, or the groups foundation, all and ablation.
        seeds: Number of seeds, starting at the configuration's `seed`.
        standard_models: A CSV with columns model, id and ood, which adds effective and relative robustness.
        progress: Whether to show a progress bar.
        **settings: Keys of run.yaml, as in `fit`; `out` is the folder of the comparison.

    Returns:
        The finished comparison. Methods that diverged have no row: `results.diverged` has the reasons.

    Raises:
        InputError: A method, a setting, the model or the data does not fit, or the folder holds something else.
        Interrupted: Ctrl-C or SIGTERM; finished work is kept.
        DivergedError: Every method diverged.
    """
    if config is None and not settings:
        raise ConfigError(
            "compare needs settings: the path of a run.yaml, a mapping, or keyword arguments. Got none."
        )
    if seeds < 1:
        raise ConfigError(f"seeds must be >= 1, got {seeds}.")
    names = methods.split(",") if isinstance(methods, str) else list(methods)
    given = load_config({} if config is None else config, overrides, settings)
    is_file = isinstance(config, str | os.PathLike)
    with shown(progress):
        study = comparing.compare(
            given,
            comparing.Choice(
                [name.strip() for name in names if name.strip()],
                seeds,
                None if standard_models is None else Path(standard_models),
            ),
            fixed=overridden(overrides) | ({} if config is None else settings),
            origin=os.fspath(config) if is_file else "the configuration",  # type: ignore[arg-type]
            command=f"radapter.compare(..., methods={names!r}, seeds={seeds})",
            again="the same call",
        )
    return Comparison(study.folder, allow_download=given.allow_download)


def open_comparison(folder: str | os.PathLike[str], *, allow_download: bool = False) -> "Comparison":
    """Open the folder of a finished comparison.

    Args:
        folder: The folder of a comparison.
        allow_download: Whether its methods may fetch the model from the Hugging Face Hub.

    Raises:
        RunError: It is not the folder of a comparison, or the comparison is not finished.
    """
    path = Path(folder)
    if not (path / COMPARISON).is_file():
        raise RunError(f"'{path}' must be the folder of a comparison and has no {COMPARISON}. Give another.")
    if not (path / CHOSEN).is_file():
        raise RunError(
            f"comparison must be finished. '{path}' has no {CHOSEN}. Run the same 'radapter compare' again to "
            "continue it."
        )
    return Comparison(path, allow_download=allow_download)


@final
class Comparison:
    """A finished comparison.

    Attributes:
        folder: Its folder, with results.md and the trainings.
        allow_download: Whether its methods may fetch the model from the Hugging Face Hub.
    """

    def __init__(self, folder: Path, *, allow_download: bool = False) -> None:
        self.folder, self.allow_download = folder, allow_download

    def __repr__(self) -> str:
        return f"Comparison({str(self.folder)!r})"

    @cached_property
    def results(self) -> Results:
        """The content of results.json: a row for each method, over seeds, and OOD at equal ID."""
        return Results.read(self.folder)

    @cached_property
    def chosen(self) -> Chosen:
        """The training and the alpha of each method at each seed."""
        return Chosen.read(self.folder)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that have weights."""
        return tuple(self.chosen.methods)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every method."""
        return tuple(self.results.seeds)

    def run(self, method: str, seed: int | None = None) -> Run:
        """Return one of the methods at one seed as a run, with all that a `Run` can do.

        The first call writes its directory, in `runs/` of the comparison's folder; nothing is trained.

        Args:
            method: One of `methods`.
            seed: One of `seeds`; None is the first.
        """
        with shown():
            folder = run_of_comparison(self.folder, method, seed, allow_download=self.allow_download)
        return Run(folder, allow_download=self.allow_download)

    def merge(
        self,
        to: str | os.PathLike[str],
        method: str,
        seed: int | None = None,
        format: Format | None = None,
        alpha: float | None = None,
    ) -> Path:
        """Write one of the methods as a plain checkpoint, and return its folder, as `radapter merge` does.

        Args:
            to: A new folder.
            method: One of `methods`.
            seed: One of `seeds`; None is the first.
            format: The library that will load it: transformers, open_clip or onnx; None is the model's own.
            alpha: In [0, 1]; None is the one chosen for the method.

        Raises:
            InputError: There is no such method or seed, `to` exists, or alpha is out of range or chosen as 0.
        """
        with shown():
            return merge(
                self.folder,
                Path(to),
                alpha=alpha,
                format=format,
                method=method,
                seed=seed,
                allow_download=self.allow_download,
            ).folder

    def report(self, to: str | os.PathLike[str]) -> Path:
        """Write the report of the comparison as one HTML file, and return its path."""
        from radapter.report.page import write_page

        write_page(self.folder, Path(to))
        return Path(to)
