"""A budget of memory that loaders share, so that caching many sets cannot fill the machine."""

import threading
from typing import final

from radapter.errors import ConfigError


@final
class Memory:
    """Memory for decoded pictures; whoever finds it spent decodes again instead.

    Args:
        cache_mib: the budget, in MiB; 0 caches nothing.
    """

    def __init__(self, cache_mib: float = 512) -> None:
        if not cache_mib >= 0:
            raise ConfigError(f"cache_mib must be >= 0. Got {cache_mib}.")
        self._left = int(cache_mib * 2**20)
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Reserves `size` bytes; False, and nothing reserved, where fewer are left."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Returns `size` bytes that were taken."""
        with self._lock:
            self._left += size


@final
class Lease:
    """What one holder took of a budget; all of it returns when the holder goes.

    Args:
        memory: the budget; None has nothing to give.
    """

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
