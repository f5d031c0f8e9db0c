"""A memory budget that loaders share, so that caching many sets cannot fill the machine."""

import threading
from typing import final

from radapter.errors import ConfigError


@final
class Memory:
    """Memory for decoded images, `cache_mib` MiB. When it is used up, images are decoded again instead."""

    def __init__(self, cache_mib: float = 512) -> None:
        if not cache_mib >= 0:
            raise ConfigError(f"cache_mib must be >= 0. Got {cache_mib}.")
        self._left = int(cache_mib * 2**20)
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Reserves `size` bytes; returns False and reserves nothing if fewer are left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Returns `size` bytes to the budget."""
        with self._lock:
            self._left += size


@final
class Lease:
    """The memory that one holder took from a budget (None: an empty one); returned when the holder is deleted."""

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory
        self._taken = 0

    def __del__(self) -> None:
        self.release()

    def take(self, size: int) -> bool:
        """As `Memory.take`."""
        if self._memory is None or not self._memory.take(size):
            return False
        self._taken += size
        return True

    def release(self) -> None:
        """Returns everything."""
        if self._memory is not None:
            self._memory.give_back(self._taken)
            self._taken = 0
