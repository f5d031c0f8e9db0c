"""Logs the metrics of a run to metrics.jsonl, and to TensorBoard or Weights & Biases on request."""

import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from radapter.errors import MissingExtraError
from radapter.storage import write_text
from radapter.training import Progress

_LOG = logging.getLogger(__name__)
Tracking = Literal["none", "tensorboard", "wandb"]
METRICS = "metrics.jsonl"


@contextmanager
def tracked(folder: Path, tracking: Tracking) -> Iterator[Callable[[Progress], None]]:
    """Yields a function that logs the progress of a step. Raises MissingExtraError if the tracker is not installed.

    A run that continues from a checkpoint first drops the lines of repeated steps, so each step is logged once.
    """
    check_tracking(tracking)
    path = folder / METRICS
    tracker = _tracker(tracking, folder)
    started = False

    def log(progress: Progress) -> None:
        nonlocal started
        if not started:
            _drop_from(path, progress.step)
            started = True
        values = {name: value if math.isfinite(value) else None for name, value in asdict(progress).items()}
        _append(path, json.dumps(values, allow_nan=False) + "\n")
        if tracker is not None:
            tracker.log(values, step=progress.step)

    try:
        yield log
    finally:
        if tracker is not None:
            tracker.finish()


def check_tracking(tracking: Tracking) -> None:
    """Raises MissingExtraError, which names the extra, if the tracker's package is not installed."""
    if tracking != "none" and find_spec(tracking) is None:
        raise MissingExtraError(f"tracking {tracking} needs its package: pip install 'radapter[tracking]'.")


def _tracker(tracking: Tracking, folder: Path):  # type: ignore[no-untyped-def]  # accelerate ships no types
    if tracking == "none":
        return None
    from accelerate import PartialState
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    PartialState()  # accelerate's trackers ask it which process they are in
    tracker = (
        TensorBoardTracker("tensorboard", logging_dir=folder)
        if tracking == "tensorboard"
        else WandBTracker("radapter", name=folder.name, dir=str(folder))
    )
    tracker.start()
    return tracker


def _append(path: Path, line: str) -> None:
    """Adds a whole line or none, and only warns if the disk is full."""
    size = path.stat().st_size if path.is_file() else 0
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        _LOG.warning("no line in '%s': %s. Training goes on without it.", path, error)
        if path.is_file():
            os.truncate(path, size)


def _drop_from(path: Path, step: int) -> None:
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    kept = [line for line in lines if (done := _step_of(line)) is not None and done < step]
    write_text(path, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> int | None:
    """The step of a line; None if it is damaged: a crash may leave it half written or full of NULs."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if type(step) is int else None
