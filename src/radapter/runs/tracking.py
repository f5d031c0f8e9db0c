"""Logs the steps of a run to metrics.jsonl and its validated epochs to epochs.jsonl.

Both also go to a tracker on request, with the results at the end.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from radapter.runs.trackers import Drawn, Tracked, Tracker, Tracking, check_tracking
from radapter.storage import write_text
from radapter.training import Progress

_LOG = logging.getLogger(__name__)
METRICS, EPOCHS = "metrics.jsonl", "epochs.jsonl"


class Log(NamedTuple):
    """Logs a step, an epoch, counted from 0, with its metrics on ID validation, and what a tracker shows of the
    results."""

    step: Callable[[Progress], None]
    epoch: Callable[[int, Mapping[str, float]], None]
    results: Callable[[Drawn], None] = lambda _: None


NO_LOG = Log(lambda _: None, lambda _, __: None)


@contextmanager
def tracked(folder: Path, tracking: Tracking, run: Tracked | None = None) -> Iterator[Log]:
    """Yields functions that log. Raises MissingExtraError if the tracker is not installed.

    A run that continues from a checkpoint first drops the lines of repeated steps and epochs: each is logged once.
    """
    check_tracking(tracking)
    path, epochs = folder / METRICS, folder / EPOCHS
    tracker = None if tracking == "none" else Tracker(tracking, folder, run or Tracked())
    started: set[Path] = set()

    def log(progress: Progress) -> None:
        values = _finite(asdict(progress))
        write(path, "step", values)
        if tracker is not None:
            tracker.step(progress.step, values)

    def log_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
        values = _finite(metrics)
        write(epochs, "epoch", {"epoch": epoch, "id_val": values})
        if tracker is not None:
            tracker.epoch(epoch, values)

    def write(file: Path, counter: str, values: dict[str, Any]) -> None:
        if file not in started:
            _drop_from(file, counter, values[counter])
            started.add(file)
        _append(file, json.dumps(values, allow_nan=False) + "\n")

    def log_results(drawn: Drawn) -> None:
        if tracker is None:
            return
        try:
            tracker.results(drawn)
        except Exception as error:  # the results are written already; the tracker must not end the run
            _LOG.warning("The results were not sent to %s: %s: %s", tracking, type(error).__name__, error)

    try:
        yield Log(log, log_epoch, log_results)
    finally:
        if tracker is not None:
            tracker.finish()


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


def lines_of(path: Path, counter: str) -> list[dict[str, Any]]:
    """The whole lines of a log with a number under `counter`; empty if there is no log. A crash may leave a line
    half written or full of NULs."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict) and type(values.get(counter)) is int:
            found.append(values)
    return found


def _finite(values: Mapping[str, float]) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _drop_from(path: Path, counter: str, number: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in lines_of(path, counter) if line[counter] < number]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
