"""`radapter predict` and `radapter embed`: classes of images, and features of images and texts, in files."""

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from radapter.commands.encoders import report_alpha_zero, warn_of_long_texts
from radapter.commands.evaluate import parsed
from radapter.commands.terminal import free, next_steps, plain_table, report_left_out, say
from radapter.comparison.chosen import COMPARISON
from radapter.data import MAX_BAD
from radapter.data.labelled.labels import read_classnames
from radapter.data.source import Reading
from radapter.data.splits import Progress
from radapter.data.wording import read_or_refuse
from radapter.errors import ConfigError
from radapter.given_files import read_text
from radapter.inference import OpenedImages, Predictions, Predictor, open_images, open_predictor
from radapter.inference.embeddings import check_new_embeddings
from radapter.inference.predictions import SUFFIXES
from radapter.inference.predictor import WORKERS
from radapter.operations.checks import check_text_tower
from radapter.operations.class_texts import check_texts
from radapter.operations.evaluating import config_of_run
from radapter.progress import counting
from radapter.runs.directory import CONFIG
from radapter.search.sheet import printable
from radapter.storage import check_new_file

_SHOWN = 20  # classes in the table


class Loading(NamedTuple):
    """How images are read and encoded; None takes the default: of the run, of the package, or of the machine."""

    batch_size: int = 64
    workers: int | None = None
    device: str | None = None
    max_bad: float | None = None
    allow_download: bool = False

    @property
    def threads(self) -> int:
        """Threads that decode images."""
        return WORKERS if self.workers is None else self.workers


class Classes(NamedTuple):
    """The classes as text or a file, and their templates as text of YAML; None for those of the run."""

    names: str | None = None
    templates: str | None = None


def predict(
    what: str,
    data: str,
    *,
    to: Path,
    classes: Classes,
    alpha: float | None,
    raw: bool,
    top: int,
    loading: Loading,
) -> dict[str, Any]:
    """Writes the class of every image, and returns the counts that are printed.

    Raises:
        InputError: the model, the images, the classes or an option is wrong, more than `max_bad` images are
            unreadable, or the file exists; nothing is written.
    """
    check_new_file(to, SUFFIXES, name="--out")
    if top < 1:
        raise ConfigError(f"--top must be >= 1, got {top}.")
    names = None if classes.names is None else read_names(classes.names)
    templates = None if classes.templates is None else parsed(classes.templates)
    predictor = _opened(what, alpha, loading, names, templates, raw=raw)
    if predictor.classnames is None:
        raise ConfigError(f"--classes is needed. '{what}' has no classes of its own. Give names, or a file.")
    if names is not None or templates is not None:
        check_text_tower(predictor.encoder)
        check_texts(
            predictor.encoder,
            predictor.classnames,
            predictor.templates,
            origin="--classes",
            remedy="Give other names with --classes.",
        )
    with counting() as bar:
        opened = _images(what, data, loading, predictor.classnames, progress=bar("hashing"))
        found = predictor.predict(
            opened,
            top=top,
            batch_size=loading.batch_size,
            workers=loading.threads,
            progress=bar("predicting"),
        )
    found.write(to)
    _report(found, to)
    words = ["radapter", "embed", what, "--data", data]
    next_steps(("features of the same images", f"{shlex.join(words)} --out {free('embeddings.npy')}"))
    return {
        "images": len(found),
        "unreadable": len(found.errors),
        "counts": found.counts,
        "differing": found.differing,
        "alpha": found.alpha,
        "temperature": found.temperature,
        "notes": found.notes,
        "file": os.fspath(to),
    }


def embed(
    what: str, data: str | None, *, texts: str | None, to: Path, alpha: float | None, loading: Loading
) -> dict[str, Any]:
    """Writes the features of images, texts, or both, and returns their numbers.

    Raises:
        InputError: as `predict`, or there is nothing to encode.
    """
    check_new_embeddings(to, name="--out")
    if data is None and texts is None:
        raise ConfigError("embed needs --data, --texts, or both. Got neither. Give one.")
    listed = () if texts is None else read_texts(texts)
    predictor = _opened(what, alpha, loading)
    if listed:
        check_text_tower(predictor.encoder)
        warn_of_long_texts(predictor.encoder, listed)
    with counting() as bar:
        opened = None if data is None else _images(what, data, loading, None, progress=bar("hashing"))
        found = predictor.embed(
            opened, listed, batch_size=loading.batch_size, workers=loading.threads, progress=bar("encoding")
        )
    found.write(to)
    report_left_out("Unreadable images, left out", list(found.errors.values()))
    images, width = len(found.paths), predictor.encoder.embed_dim
    say(f"Wrote {to}: {images:,} images and {len(listed):,} texts, {width} numbers each.")
    if data is not None:
        words = ["radapter", "predict", what, "--data", data, "--out"]
        next_steps(("classes of the same images", f"{shlex.join(words)} {free('predictions.csv')}"))
    return {
        "images": images,
        "texts": len(listed),
        "unreadable": len(found.errors),
        "width": width,
        "alpha": found.alpha,
        "file": os.fspath(to),
    }


def read_names(text: str) -> tuple[str, ...]:
    """Reads --classes: a file with one name per line, or names separated by commas. Raises DataError."""
    if os.path.isfile(text):  # noqa: PTH113 - a Path raises where a list is longer than a file's name may be
        return read_classnames(text)
    return read_classnames([name.strip() for name in text.split(",") if name.strip()])


def read_texts(text: str) -> tuple[str, ...]:
    """Reads --texts: a file with one text per line, or texts separated by commas. Raises InputError for none."""
    if os.path.isfile(text):  # noqa: PTH113
        lines = read_or_refuse(
            read_text, Path(text), "--texts must be texts or a UTF-8 text file"
        ).splitlines()
    else:
        lines = text.split(",")
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise ConfigError(f"--texts must hold a text. '{text}' holds none.")
    return found


def _opened(
    what: str,
    alpha: float | None,
    loading: Loading,
    names: Sequence[str] | None = None,
    templates: str | Sequence[str] | None = None,
    *,
    raw: bool = False,
) -> Predictor:
    if (Path(what) / COMPARISON).is_file():
        raise ConfigError(
            f"a run or a model is needed. '{what}' is a comparison. Write one of its models with 'radapter merge "
            f"{what} --method METHOD --out merged', and use that."
        )
    opened = open_predictor(
        what,
        alpha=alpha,
        classnames=names,
        templates=templates,
        raw=raw,
        device=loading.device,
        allow_download=loading.allow_download,
    )
    if opened.is_run and alpha is None and opened.alpha == 0:
        report_alpha_zero(what)
    return opened


def _images(
    what: str, data: str, loading: Loading, classnames: Sequence[str] | None, *, progress: Progress
) -> OpenedImages:
    """The images, within the limits of a run's data section."""
    max_bad, run = loading.max_bad, Path(what)
    if (run / CONFIG).is_file():
        limit = [] if max_bad is None else [f"data.max_bad={max_bad}"]
        reading = config_of_run(run, limit, allow_download=loading.allow_download).reading
    else:
        reading = Reading(
            max_bad=MAX_BAD if max_bad is None else max_bad, allow_download=loading.allow_download
        )
    mapping = parsed(data)
    source = mapping if isinstance(mapping, dict) else data  # a folder may be called 2024
    return open_images(source, classnames=classnames, reading=replace(reading, progress=progress))


def _report(found: Predictions, to: Path) -> None:
    is_tuned = found.alpha is not None  # else the zero-shot model itself
    then = Counter(row.zero_shot for row in found if is_tuned and row.zero_shot is not None)
    columns = ("Images", "Zero-shot") if then else ("Images",)
    table = plain_table("Class", *columns, left=("Class",))
    labels = list(found.counts)
    for label in labels[:_SHOWN]:
        counts = [found.counts[label], *([then[label]] if then else [])]
        table.add_row(printable(label), *(f"{count:,}" for count in counts))
    if rest := labels[_SHOWN:]:
        sums = [
            sum(found.counts[label] for label in rest),
            *([sum(then[label] for label in rest)] if then else []),
        ]
        table.add_row(f"{len(rest)} others", *(f"{count:,}" for count in sums))
    Console().print(table)
    report_left_out("Unreadable images", list(found.errors.values()))
    if found.differing is None:
        say("The zero-shot model is not at hand, so its answers are left empty.")
    elif is_tuned:
        readable = len(found) - len(found.errors)
        say(f"{found.differing:,} of {readable:,} images have another class than the zero-shot model gives.")
    for note in found.notes:
        say(note)
    say(f"Wrote {to}.")
