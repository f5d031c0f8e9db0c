"""A run: trained by `fit`, opened by `open_run`, and used, measured, merged and shared by its methods.

run = radapter.fit("run.yaml", train={"epochs": 5}, out="runs/photos")
run.results.row("r-adapter").ood_mean
run.predict("new-photos", top=3)
run.merge("merged", format="open_clip")
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from radapter.comparison.chosen import COMPARISON
from radapter.config import CommonConfig, load_config, load_stored
from radapter.data.source import Reading
from radapter.errors import ConfigError, RunError
from radapter.operations.bars import shown
from radapter.operations.evaluating import Limits, Texts, evaluate, named
from radapter.operations.merging import Format, merge
from radapter.operations.training import train
from radapter.progress import counting
from radapter.runs.directory import CONFIG
from radapter.runs.results import RESULTS, Results, Row, SweepRow

if TYPE_CHECKING:
    from radapter.hub import Pushed
    from radapter.inference import Embeddings, ImagesLike, Predictions, Predictor

Given = str | os.PathLike[str] | Mapping[str, Any]
"""The path of a run.yaml, or a mapping with the same keys."""


def fit(
    config: Given | None = None,
    overrides: Sequence[str] = (),
    *,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> "Run":
    """Train one method, choose alpha on ID validation, and evaluate the test sets, as `radapter train` does.

    Settings are those of a run.yaml. Keyword arguments replace those of `config`: `train={"epochs": 5}` sets
    train.epochs and leaves the rest of the section, `method="lora"` replaces the method with its settings.

    Args:
        config: The path of a run.yaml, or a mapping with the same keys. None takes keyword arguments alone.
        overrides: "train.lr=1e-3", as on the command line. Keyword arguments come after them.
        resume: Whether to continue an interrupted run in the same folder; a finished run is only read.
        progress: Whether to show a progress bar.
        **settings: Keys of run.yaml, such as `model`, `method`, `data`, `train` and `out`, the run directory.

    Returns:
        The finished run.

    Raises:
        InputError: A setting, the model, the data or the run directory; nothing is written.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint is saved.
    """
    if config is None and not settings:
        raise ConfigError(
            "fit needs settings: the path of a run.yaml, a mapping, or keyword arguments. Got none."
        )
    given = {} if config is None else config
    with shown(progress):
        trained = train(
            lambda: load_config(given, overrides, settings),
            resume=resume,
            again="the same call with resume=True",
        )
    return Run(trained.folder, allow_download=trained.allow_download)


def open_run(folder: str | os.PathLike[str], *, allow_download: bool = False) -> "Run":
    """Open the directory of a finished run.

    Args:
        folder: The run directory.
        allow_download: Whether the methods of the run may fetch models and data from the Hugging Face Hub.

    Raises:
        RunError: It is not the directory of a run, or the run is not finished.
    """
    run = Path(folder)
    if (run / COMPARISON).is_file():
        raise RunError(
            f"'{run}' must be the folder of a run. It is a comparison's: its tables are in results.md there, and "
            f"'radapter merge {run} --method METHOD --out DIR' writes one of its models."
        )
    if not (run / RESULTS).is_file():
        raise RunError(
            f"'{run}' must be a finished run and has no {RESULTS}. Train with 'radapter train', or continue an "
            "interrupted run with '--resume'."
        )
    return Run(run, allow_download=allow_download)


@final
class Run:
    """A finished run. Nothing is loaded before it is needed.

    Attributes:
        folder: The run directory.
        allow_download: Whether its methods may fetch models and data from the Hugging Face Hub.
    """

    def __init__(self, folder: Path, *, allow_download: bool = False) -> None:
        self.folder, self.allow_download = folder, allow_download
        self._predictor: tuple[object, Predictor] | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def results(self) -> Results:
        """The content of results.json: a row for zero-shot and one for the method, and the sweep over alpha."""
        return Results.read(self.folder)

    @cached_property
    def config(self) -> CommonConfig:
        """The settings of the run."""
        return load_stored(self.folder / CONFIG)

    def predict(
        self,
        images: "ImagesLike",
        top: int = 5,
        *,
        alpha: float | None = None,
        classnames: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        raw: bool = False,
        batch_size: int = 64,
        progress: bool = True,
    ) -> "Predictions":
        """Return the `top` most probable classes of each image, beside zero-shot's answer.

        The model stays in memory for the next call with the same class names and templates.

        Args:
            images: A folder, a path or several, PIL images, arrays, or a source as in run.yaml.
            top: The number of classes to return for each image.
            alpha: In [0, 1]; None is the run's own.
            classnames: Other class names; None for those of the run.
            templates: Other templates, with one "{}" each; None for those of the run.
            raw: Whether to leave out the calibration of the probabilities.
            batch_size: Images at a time; the answers do not depend on it.
            progress: Whether to show a progress bar.

        Raises:
            InputError: More images than data.max_bad are unreadable, or the class names do not fit the run.
        """
        with shown(progress), counting() as bar:
            predictor = self._open_predictor(alpha, classnames, templates, raw)
            return predictor.predict(
                images, top=top, batch_size=batch_size, reading=self._reading, progress=bar("predicting")
            )

    def embed(
        self,
        images: "ImagesLike | None" = None,
        texts: Sequence[str] | None = None,
        *,
        alpha: float | None = None,
        batch_size: int = 64,
        progress: bool = True,
    ) -> "Embeddings":
        """Return unit-norm features of images, of texts, or of both.

        Args:
            images: As in `predict`.
            texts: Texts, encoded as they are.
            alpha: In [0, 1]; None is the run's own.
            batch_size: Images at a time.
            progress: Whether to show a progress bar.
        """
        with shown(progress), counting() as bar:
            predictor = self._open_predictor(alpha, None, None, False)
            return predictor.embed(
                images, texts, batch_size=batch_size, reading=self._reading, progress=bar("encoding")
            )

    def evaluate(
        self,
        source: Any = None,
        alpha: float | None = None,
        *,
        classnames: Sequence[str] | str | None = None,
        templates: Sequence[str] | str | None = None,
        max_bad: float | None = None,
        progress: bool = True,
    ) -> Results:
        """Evaluate the run and zero-shot on test sets, as `radapter evaluate` does.

        Args:
            source: A source as in run.yaml: a path, a mapping, or a mapping of names to sources. None evaluates the
                run's own test sets.
            alpha: In [0, 1]; None is the run's own.
            classnames: Other class names, or a file of them; None for those of the run.
            templates: "short", "imagenet", a file, or templates with one "{}" each; None for those of the run.
            max_bad: The largest fraction of unreadable images in a set; None is the run's data.max_bad.
            progress: Whether to show a progress bar.

        Raises:
            InputError: A source does not fit the run's task, or alpha is outside [0, 1].
        """
        sources = {} if source is None else named(source, self.results.task)
        limits = Limits(max_bad, self.allow_download)
        with shown(progress):
            return evaluate(
                str(self.folder), sources, alpha=alpha, texts=Texts(classnames, templates), limits=limits
            ).results

    def sweep(self) -> list[SweepRow]:
        """Return ID and OOD results of the trained method at every alpha of the run.

        Raises:
            RunError: Nothing was trained.
        """
        return [point for row in trained_rows(self) for point in points_of(self.results, row)]

    def merge(
        self, to: str | os.PathLike[str], format: Format | None = None, alpha: float | None = None
    ) -> Path:
        """Write a plain checkpoint that does not need radapter, and return its folder, as `radapter merge` does.

        Args:
            to: A new folder.
            format: The library that will load it: transformers, open_clip or onnx; None is the model's own.
            alpha: In [0, 1]; None is the run's own.

        Raises:
            InputError: `to` exists, alpha is out of range or chosen as 0, or the library lacks the architecture.
        """
        with shown():
            return merge(
                self.folder,
                Path(to),
                alpha=alpha,
                format=format,
                method=None,
                seed=None,
                allow_download=self.allow_download,
            ).folder

    def report(self, to: str | os.PathLike[str]) -> Path:
        """Write the report of the run as one HTML file, and return its path."""
        from radapter.report.page import write_page

        write_page(self.folder, Path(to))
        return Path(to)

    def push(self, repo_id: str, *, private: bool = False) -> "Pushed":
        """Upload the run to the Hugging Face Hub as "OWNER/NAME", and return its address and its files."""
        from radapter.hub import push

        return push(self.folder, repo_id, private=private)

    @property
    def _reading(self) -> Reading:
        return replace(self.config.reading, allow_download=self.allow_download)

    def _open_predictor(
        self,
        alpha: float | None,
        classnames: Sequence[str] | None,
        templates: Sequence[str] | None,
        raw: bool,
    ) -> "Predictor":
        from radapter.inference import open_predictor

        asked = (classnames and tuple(classnames), templates and tuple(templates), raw)
        if self._predictor is None or self._predictor[0] != asked:
            self._predictor = None  # two models need not fit in memory
            opened = open_predictor(
                self.folder,
                classnames=classnames,
                templates=templates,
                raw=raw,
                allow_download=self.allow_download,
            )
            self._predictor = (asked, opened)
        predictor = self._predictor[1]
        return predictor if alpha is None else predictor.at(alpha)


def trained_rows(run: Run) -> list[Row]:
    """Return the rows of trained methods. Raises RunError if there is none."""
    trained = [row for row in run.results.rows if row.method != "zero-shot"]
    if not trained:
        raise RunError(
            f"a sweep needs a trained method. '{run.folder}' holds only zero-shot. Train with another method."
        )
    return trained


def points_of(results: Results, row: Row) -> list[SweepRow]:
    """Return the sweep of a row's method, or of the training that it shares."""
    points = [point for point in results.sweep if point.method == row.method]
    return points or [point for point in results.sweep if point.method != "zero-shot"]
