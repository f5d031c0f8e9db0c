"""Counts images that cannot be decoded, and ends the run if there are too many."""

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
    """The unreadable images of one set of `total`; a fraction of `max_bad` is allowed. Each is counted once."""

    def __init__(self, name: str, total: int, *, max_bad: float = MAX_BAD) -> None:
        if not 0 <= max_bad <= 1:
            raise ConfigError(f"max_bad must be in [0, 1], got {max_bad}.")
        self._name, self._total, self._max_bad = name, total, max_bad
        self.messages: dict[int, str] = {}  # by index in the set

    def __len__(self) -> int:
        return len(self.messages)

    def add(self, index: int, error: ImageError) -> None:
        """Counts the image at `index` and logs the first few; an image that was counted before changes nothing.

        Raises:
            DataError: More than the allowed fraction of the set is unreadable.
        """
        if index in self.messages:
            return
        self.messages[index] = str(error)
        for skipped in _counting:
            skipped.setdefault(self._name, set()).add(index)
        if len(self) <= SHOWN:
            _log.warning("skipped: %s", error)
        elif len(self) == SHOWN + 1:
            _log.warning("skipped: further images of '%s'. They are counted, not listed.", self._name)
        if len(self) > self._max_bad * self._total:
            shown = " | ".join(list(self.messages.values())[:SHOWN])
            raise DataError(
                f"at most {self._max_bad:.2%} of the images may be unreadable (max_bad). Of the {self._total} in "
                f"'{self._name}' at least {len(self)} are: {shown} Repair the data, or raise max_bad: data.max_bad "
                "in run.yaml, --max-bad of evaluate, predict, embed, shards and mine."
            )
