"""Trackers that get a run's steps, epochs, settings and results: TensorBoard, Weights & Biases, Trackio and MLflow.

All start through accelerate. Only the table and the figure at the end differ: accelerate has no call for them that
every tracker knows.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import yaml
from matplotlib.figure import Figure
from PIL import Image

from radapter.errors import MissingExtraError

Tracking = Literal["none", "tensorboard", "wandb", "trackio", "mlflow"]
TRACKERS: tuple[Tracking, ...] = get_args(Tracking)
PROJECT = "radapter"


class Drawn(NamedTuple):
    """What a tracker shows of the results: a table, as columns and in Markdown, and the frontier if there is one."""

    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    markdown: str
    figure: Figure | None


class Tracked(NamedTuple):
    """How a run is called in its tracker, and its settings in YAML; no name is that of the run's folder."""

    project: str = PROJECT
    name: str | None = None
    settings: str = ""


class Tracker:
    """One run in a tracker. `start` opens it; `finish` closes it."""

    def __init__(self, kind: Tracking, folder: Path, run: Tracked) -> None:
        from accelerate import PartialState
        from accelerate import tracking as trackers

        PartialState()  # accelerate's trackers ask it which process they are in
        name = run.name or folder.name
        make: dict[str, Callable[[], Any]] = {
            "tensorboard": lambda: trackers.TensorBoardTracker("tensorboard", logging_dir=folder),
            "wandb": lambda: trackers.WandBTracker(run.project, name=name, dir=str(folder)),
            "trackio": lambda: trackers.TrackioTracker(run.project, name=name, resume="allow", embed=False),
            "mlflow": lambda: trackers.MLflowTracker(
                run.project, run_name=name, logging_dir=(folder / "mlflow").absolute().as_uri()
            ),
        }
        self._kind, self._step = kind, 0
        with redirect_stdout(sys.stderr):
            self._tracker = make[kind]()
            self._tracker.start()
            if run.settings:
                self._tracker.store_init_configuration(flat(yaml.safe_load(run.settings)))

    def step(self, step: int, values: Mapping[str, float | None]) -> None:
        """Logs the numbers of a training step."""
        self._step = step
        self._log({name: value for name, value in values.items() if value is not None})

    def epoch(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Logs the metrics on ID validation after an epoch, counted from 0."""
        self._log({f"id_val/{name}": value for name, value in metrics.items() if value is not None})

    def results(self, drawn: Drawn) -> None:
        """Logs the table of the results and the frontier."""
        with redirect_stdout(sys.stderr):
            _RESULTS[self._kind](self._tracker, drawn, self._step)

    def finish(self) -> None:
        """Closes the run."""
        with redirect_stdout(sys.stderr):
            self._tracker.finish()

    def _log(self, values: Mapping[str, float]) -> None:
        self._tracker.log(dict(values), step=self._step)


def check_tracking(tracking: Tracking) -> None:
    """Raises MissingExtraError, which names the package, if the tracker's is not installed."""
    if tracking != "none" and find_spec(tracking) is None:
        extra = "mlflow" if tracking == "mlflow" else "tracking"
        raise MissingExtraError(f"tracking {tracking} needs its package: pip install 'radapter[{extra}]'.")


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings under dotted keys, as trackers take them; other values become text."""
    found: dict[str, str | int | float | bool] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str | int | float) else str(value)
    return found


def _tensorboard(tracker: Any, drawn: Drawn, step: int) -> None:
    tracker.writer.add_text("results", drawn.markdown, global_step=step)
    if drawn.figure is not None:
        tracker.writer.add_figure("frontier", drawn.figure, global_step=step)


def _wandb(tracker: Any, drawn: Drawn, step: int) -> None:
    tracker.log_table("results", columns=list(drawn.columns), data=list(map(list, drawn.lines)), step=step)
    if drawn.figure is not None:
        tracker.log_images({"frontier": [_image(drawn.figure)]}, step=step)


def _trackio(tracker: Any, drawn: Drawn, step: int) -> None:
    import trackio

    values: dict[str, Any] = {
        "results": trackio.Table(columns=list(drawn.columns), data=list(map(list, drawn.lines)))
    }
    if drawn.figure is not None:
        values["frontier"] = trackio.Image(_image(drawn.figure))
    tracker.log(values, step=step)


def _mlflow(tracker: Any, drawn: Drawn, step: int) -> None:
    import mlflow

    mlflow.log_text(drawn.markdown, "results.md")
    if drawn.figure is not None:
        tracker.log_figure(drawn.figure, "frontier.png")


_RESULTS: Mapping[str, Callable[[Any, Drawn, int], None]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "trackio": _trackio,
    "mlflow": _mlflow,
}


def _image(figure: Figure) -> Image.Image:
    content = BytesIO()
    figure.savefig(content, format="png")
    return Image.open(content).convert("RGB")
