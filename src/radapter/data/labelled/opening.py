"""Opening a set of labelled images from its source."""

import os
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from radapter.data.images.corruptions import corrupted_images
from radapter.data.labelled.classification import ClassificationSet
from radapter.data.labelled.kinds import labelled_source
from radapter.data.labelled.labels import read_classnames, resolve
from radapter.data.source import DEFAULT, Reading, Spec
from radapter.data.splits import UNREADABLE, content_keys, in_part, refuse_unreadable
from radapter.data.wording import some
from radapter.errors import ConfigError, DataError
from radapter.hashing import keys as hashed


def open_classification(
    spec: Spec,
    *,
    classnames: Sequence[str] | str | os.PathLike[str] | None = None,
    rename: Mapping[str, str] | None = None,
    name: str | None = None,
    reading: Reading = DEFAULT,
) -> ClassificationSet:
    """Opens a labelled data set; images are decoded later, one at a time.

    Args:
        spec: a path, a mapping as in run.yaml, or one of the kinds in `radapter.data.labelled.kinds`.
        classnames: the training classes, a list or a text file; None takes the source's own.
        rename: class name to new name, as `data.rename`; names that the source lacks are ignored.
        name: the set's name in tables; None takes the source's.
        reading: limits of images, whether downloads are allowed, and a callback for progress while hashing.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range.
        DataError: the data are missing, empty, mislabelled or too corrupt, or `classnames` lacks a class.
    """
    source = labelled_source(spec)
    training = None if classnames is None else read_classnames(classnames)
    found = source.read(reading)
    name = found.name if name is None else name
    mapping = {
        str(theirs): None if ours is None else str(ours) for theirs, ours in (source.labels or {}).items()
    }
    resolved = resolve(
        found,
        classes=None if source.classes is None else read_classnames(source.classes),
        mapping=mapping,
        classnames=training,
        rename=rename,
        half=source.half,
        half_order=source.half_order,
        shared=source.shared,
    )
    keys = content_keys(found.images, resolved.rows, known=found.keys, progress=reading.progress)
    refuse_unreadable(found.images, resolved.rows, keys, name=name, max_bad=reading.max_bad)
    chosen = torch.ones(len(keys), dtype=torch.bool)
    if source.part is not None:
        chosen = in_part(keys, *source.part, split_seed=source.split_seed)
    if source.shots_scheme == "coop":
        chosen = torch.isin(resolved.rows, torch.tensor(source.coop_rows()))
    if not chosen.any():
        raise DataError(
            f"data set must hold an image. Of the {len(found.images)} in '{name}' none is left after the label "
            "map, half and part."
        )
    rows = resolved.rows[chosen]
    of_rows = [] if found.groups is None else [found.groups[row] for row in rows.tolist()]
    number = {group: index for index, group in enumerate(sorted(set(of_rows)))}
    groups = torch.tensor([number[group] for group in of_rows], dtype=torch.int64) if of_rows else None
    images = found.images
    if source.corrupt is not None:
        images = corrupted_images(images, rows, keys[chosen], **source.corrupt)
    opened = ClassificationSet(
        name,
        resolved.classnames,
        resolved.labels[chosen],
        keys[chosen],
        images,
        rows,
        resolved.candidates,
        groups,
        tuple(number),
        resolved.given,
        found.notes,
    )
    if source.shots is None or source.shots_scheme == "coop":
        return opened
    shots, seed = source.shots, source.shots_seed
    drawn = few_shots(opened.keys, opened.labels, opened.classnames, shots=shots, shots_seed=seed, name=name)
    return opened.subset(drawn)


def few_shots(
    keys: Tensor, labels: Tensor, classnames: Sequence[str], *, shots: int, shots_seed: int = 0, name: str
) -> Tensor:
    """Draws `shots` readable images of each class; a smaller draw is always part of a larger one.

    The rank of an image in its class is a hash of (seed, content), whatever the names and the order of the files.
    Copies of one image count once.

    Args:
        keys: (N,), int64, from `content_keys`.
        labels: (N,), int64, into `classnames`.

    Returns:
        (N,), bool, with C * `shots` times True.

    Raises:
        DataError: a class has fewer images.
    """
    if shots < 1:
        raise ConfigError(f"shots must be a whole number >= 1. Got {shots}.")
    ranks = hashed(shots_seed, keys, "shots").tolist()
    of_class: list[dict[int, int]] = [{} for _ in classnames]  # class -> rank -> row of the first copy
    for row, (key, label) in enumerate(zip(keys.tolist(), labels.tolist(), strict=True)):
        if key != UNREADABLE:
            of_class[label].setdefault(ranks[row], row)
    counts = {classname: len(rows) for classname, rows in zip(classnames, of_class, strict=True)}
    short = {classname: count for classname, count in counts.items() if count < shots}
    if short:
        least = min(short.values())
        lower = f"Use shots: {least}, add images" if least else "Add images"
        raise DataError(
            f"every class must have {shots} distinct images for shots: {shots}. In '{name}' {len(short)} of "
            f"{len(classnames)} have fewer: {some([f'{c!r} ({count})' for c, count in short.items()])}. {lower}, or "
            "leave the class out with labels: {NAME: null}."
        )
    chosen = torch.zeros(len(keys), dtype=torch.bool)
    for rows in of_class:
        chosen[[rows[rank] for rank in sorted(rows)[:shots]]] = True
    return chosen
