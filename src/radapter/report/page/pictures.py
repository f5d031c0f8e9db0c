"""Thumbnails, read again from the data and embedded as data URIs."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from radapter.data.splits import fingerprint
from radapter.errors import RAdapterError, RunError
from radapter.report.page.details import Example, Gallery, Shot
from radapter.report.page.source import Folder
from radapter.segmentation.overlay import colour, tinted
from radapter.task_list import OfEachTask

MOST = 40
"""Pictures of a page, label maps not counted: they are drawn over pictures that are."""
_SIDE = 144  # pixels of a thumbnail's longer side
_NAMED = 6  # classes of a label map that the legend names


class ShownSet(Protocol):
    """A test set whose images are shown. `captions` or `classnames` are read where a set has them."""

    @property
    def keys(self) -> Tensor:
        """Content hashes of the images."""

    def image(self, index: int) -> Image.Image:
        """Decodes an image; raises ImageError."""


Sets = Callable[[str, str], ShownSet]
"""(role, name) -> the set. Raises an error of radapter if it cannot be opened, or has changed."""
_REOPENED: Mapping[str, Callable[[Any, str, str, Sequence[str]], ShownSet] | None] = OfEachTask("reopened")


class Picture(NamedTuple):
    """An image as a data URI, empty if it cannot be read, its alternative text, and a legend of colours."""

    uri: str
    text: str
    legend: Sequence[tuple[str, str]] = ()


class Drawn(NamedTuple):
    """An example with its pictures."""

    pictures: Sequence[Picture]
    lines: Sequence[str]


class DrawnGallery(NamedTuple):
    """A gallery with its pictures."""

    title: str
    note: str
    examples: Sequence[Drawn]


def opened_again(folder: Folder, classnames: Sequence[str]) -> Sets:
    """Returns a function that opens the test sets of a run or comparison again, each once."""
    known: dict[tuple[str, str], ShownSet] = {}
    inputs = folder.inputs()

    def opened(role: str, name: str) -> ShownSet:
        if (role, name) not in known:
            reopened = _REOPENED[folder.results.task]
            if reopened is None:
                raise RunError(f"the images of the task {folder.results.task} are not shown.")
            data = reopened(folder.config(), role, name, classnames)
            before = None if inputs is None else inputs.sets.get(f"{role}/{name}")
            if before is not None and before.images != fingerprint(data.keys):
                raise RunError(f"the images of '{name}' are not those of the evaluation.")
            known[role, name] = data
        return known[role, name]

    return opened


def drawn(galleries: Sequence[Gallery], sets: Sets) -> tuple[list[DrawnGallery], list[str]]:
    """Draws galleries, at most `MOST` pictures in all. Returns them, and a sentence on each set without pictures."""
    problems: dict[str, None] = {}
    found, left = [], MOST
    for gallery in galleries:
        examples = []
        for example in gallery.examples:
            needed = len({(shot.role, shot.name, shot.number) for shot in example.shots})
            if needed > left:
                break
            try:
                examples.append(_example(example, sets))
                left -= needed
            except (RAdapterError, OSError) as error:
                problems[f"Pictures of '{example.shots[0].name}' are left out: {error}"] = None
        if examples:
            found.append(DrawnGallery(gallery.title, gallery.note, examples))
    return found, list(problems)


def _example(example: Example, sets: Sets) -> Drawn:
    first = sets(example.shots[0].role, example.shots[0].name)
    lines = list(example.lines)
    captions: Sequence[str] = getattr(first, "captions", None) or ()
    if example.caption is not None and example.caption < len(captions):
        lines.insert(0, f"“{captions[example.caption]}”")
    return Drawn([_picture(shot, sets) for shot in example.shots], lines)


def _picture(shot: Shot, sets: Sets) -> Picture:
    data = sets(shot.role, shot.name)
    image = data.image(shot.number).convert("RGB")
    legend: list[tuple[str, str]] = []
    if shot.labels is not None:
        labels = shot.labels.numpy().astype(np.int64)
        image = tinted(image.resize(labels.shape[::-1], Image.Resampling.LANCZOS), labels)
        names: Sequence[str] = getattr(data, "classnames", ())
        values, counts = np.unique(labels[labels >= 0], return_counts=True)
        for value in values[np.argsort(-counts, kind="stable")][:_NAMED].tolist():
            name = names[value].split(",")[0] if value < len(names) else f"class {value}"
            legend.append(("#{:02x}{:02x}{:02x}".format(*colour(value)), name))
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    uri = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return Picture(uri, shot.text, legend)
