"""K pictures of each class, drawn so that fewer are always among more.

A picture's place in its class is a hash of (seed, content): the first 2 of a class are among its first 4, whatever
the files are called and in whatever order they lie. Copies of one picture count once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from radapter.data.splits import UNREADABLE
from radapter.errors import ConfigError, DataError
from radapter.hashing import keys as hashed


def few_shots(
    keys: Tensor, labels: Tensor, classnames: Sequence[str], *, shots: int, shots_seed: int = 0, name: str
) -> Tensor:
    """Which pictures are the `shots` of their class.

    Args:
        keys: (N,), int64, from `content_keys`; a picture that could not be read is never taken.
        labels: (N,), int64, into `classnames`.
        classnames: C names.
        shots: K, pictures of each class.
        shots_seed: another number gives another draw.
        name: what messages call the set.

    Returns:
        (N,), bool, with C * K times True.

    Raises:
        ConfigError: `shots` is below 1.
        DataError: a class has fewer pictures; how many classes, and the first three.
    """
    if shots < 1:
        raise ConfigError(f"shots must be a whole number >= 1. Got {shots}.")
    places = hashed(shots_seed, keys, "shots").tolist()
    of_class: list[dict[int, int]] = [{} for _ in classnames]  # class -> place -> row of the first copy
    for row, (key, label) in enumerate(zip(keys.tolist(), labels.tolist(), strict=True)):
        if key != UNREADABLE:
            of_class[label].setdefault(places[row], row)
    short = [(classname, len(rows)) for classname, rows in zip(classnames, of_class, strict=True)]
    short = [(classname, count) for classname, count in short if count < shots]
    if short:
        shown = ", ".join(f"{classname!r} ({count})" for classname, count in short[:3])
        least = min(count for _, count in short)
        lower = f"Use shots: {least}, add pictures" if least else "Add pictures"
        raise DataError(
            f"every class must have {shots} distinct pictures for shots: {shots}. In '{name}' {len(short)} of "
            f"{len(classnames)} have fewer: {shown}{' ...' if len(short) > 3 else ''}. {lower}, or leave the "
            "class out with labels: {NAME: null}."
        )
    chosen = torch.zeros(len(keys), dtype=torch.bool)
    for rows in of_class:
        chosen[[rows[place] for place in sorted(rows)[:shots]]] = True
    return chosen
