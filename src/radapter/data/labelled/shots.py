"""K images of each class, drawn so that a smaller draw is always part of a larger one.

The rank of an image in its class is a hash of (seed, content): the first 2 of a class are among its first 4,
whatever the names and the order of the files. Copies of one image count once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from radapter.data.splits import UNREADABLE
from radapter.data.wording import some
from radapter.errors import ConfigError, DataError
from radapter.hashing import keys as hashed


def few_shots(
    keys: Tensor, labels: Tensor, classnames: Sequence[str], *, shots: int, shots_seed: int = 0, name: str
) -> Tensor:
    """Draws `shots` readable images of each class.

    Args:
        keys: (N,), int64, from `content_keys`.
        labels: (N,), int64, into `classnames`.
        name: the set's name in messages.

    Returns:
        (N,), bool, with C * `shots` times True.

    Raises:
        ConfigError: `shots` is below 1.
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
