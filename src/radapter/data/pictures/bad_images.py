"""Counting pictures that cannot be decoded, and ending the run when they are too many."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

from radapter.errors import ConfigError, DataError, ImageError

MAX_BAD = 0.01
SHOWN = 3
"""Messages of one kind that are shown; the others are counted."""

_log = logging.getLogger(__name__)
_counting: list[dict[str, set[int]]] = []


@contextmanager
def skipped_images() -> Iterator[Mapping[str, set[int]]]:
    """Yields, by set, the images that are skipped while the block runs."""
    found: dict[str, set[int]] = {}
    _counting.append(found)
    try:
        yield found
    finally:
        _counting.remove(found)


@final
class BadImages:
    """The unreadable pictures of one set, each logged and counted once.

    Args:
        name: the set's name, for messages.
        total: pictures in the set.
        max_bad: the fraction that may be unreadable.
    """

    def __init__(self, name: str, total: int, *, max_bad: float = MAX_BAD) -> None:
        if not 0 <= max_bad <= 1:
            raise ConfigError(f"max_bad must be in [0, 1]. Got {max_bad}.")
        self._name = name
        self._total = total
        self._max_bad = max_bad
        self._messages: dict[int, str] = {}

    @property
    def messages(self) -> Mapping[int, str]:
        """What is wrong with each, by its index in the set."""
        return self._messages

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, index: int, error: ImageError) -> None:
        """Counts the picture at `index`, once however often it is met, and logs the first few.

        Raises:
            DataError: more than the allowed fraction of the set is unreadable; the message shows the first three.
        """
        if index in self._messages:
            return
        self._messages[index] = str(error)
        for skipped in _counting:
            skipped.setdefault(self._name, set()).add(index)
        if len(self) <= SHOWN:
            _log.warning("skipped: %s", error)
        elif len(self) == SHOWN + 1:
            _log.warning("skipped: further images of '%s'. They are counted, not listed.", self._name)
        if len(self) > self._max_bad * self._total:
            shown = " | ".join(list(self._messages.values())[:SHOWN])
            raise DataError(
                f"at most {self._max_bad:.2%} of the pictures may be unreadable (max_bad). Of the {self._total} "
                f"in '{self._name}' at least {len(self)} are: {shown} Repair the data, or raise "
                "max_bad: data.max_bad in run.yaml, --max-bad of evaluate, shards and mine."
            )
