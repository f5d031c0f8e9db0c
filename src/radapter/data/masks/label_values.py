"""What the values of label maps mean: which class each is, and which are of none."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from radapter.data.masks.label_maps import MAX_VALUE
from radapter.errors import ConfigError

IGNORE = -1
"""What a label map of a set holds where a pixel has no class."""
VOID = 255
"""The value of files for pixels of no class, unless something else is said."""
UNKNOWN = -2
"""What the table holds for a value that is neither a class nor ignored."""


def listed(ignore: int | Sequence[int] | None) -> tuple[int, ...]:
    """The ignored values, however they were given."""
    if ignore is None:
        return ()
    return (ignore,) if isinstance(ignore, int) else tuple(ignore)


def value_table(
    classes: int,
    ignore: int | Sequence[int] | None,
    reduce_zero_label: bool,
    values: Mapping[int, int] | None,
) -> npt.NDArray[np.int64]:
    """What each value of a file means; the arguments are those of `PairedMaskDataset`, `classes` being C.

    Returns:
        (MAX_VALUE + 1,): a class index, IGNORE or UNKNOWN.

    Raises:
        ConfigError: an argument is out of range or contradicts another.
    """
    ignored = listed(ignore)
    if values is not None and reduce_zero_label:
        raise ConfigError("values says what every value means, 0 too. Leave reduce_zero_label out.")
    first = 1 if reduce_zero_label else 0
    meaning = values if values is not None else {first + index: index for index in range(classes)}
    outside = [value for value in (*meaning, *ignored) if not 0 <= value <= MAX_VALUE]
    if outside:
        raise ConfigError(f"label values must lie in [0, {MAX_VALUE}]. Got {outside[0]}.")
    beyond = [index for index in meaning.values() if not 0 <= index < classes]
    if beyond:
        raise ConfigError(f"values must name classes in [0, {classes - 1}]. Got {beyond[0]}.")
    both = sorted({*ignored} & meaning.keys())
    if both:
        raise ConfigError(
            f"an ignored value must be no class. Got ignore {both[0]}, which is class {meaning[both[0]]} of the "
            f"{classes}. Give another value, or leave the class out."
        )
    table = np.full(MAX_VALUE + 1, UNKNOWN, dtype=np.int64)
    table[list(meaning)] = list(meaning.values())
    table[[*ignored, *([0] if reduce_zero_label else [])]] = IGNORE
    return table
