"""The seconds of a training, also of one that is interrupted and resumed."""

import time
from collections.abc import Callable
from typing import final


@final
class Stopwatch:
    """Runs from when it is made; a resumed training adds what its checkpoint had counted.

    Args:
        clock: gives seconds from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = clock()
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Since it was made, and before."""
        return self._before + self._clock() - self._started

    def add(self, seconds: float) -> None:
        """Counts seconds from before it was made."""
        self._before += seconds
