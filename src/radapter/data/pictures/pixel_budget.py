"""A bound on the pixels that all threads of a process decode at once.

An image of 50 million pixels takes up to 800 MB while it is decoded, however small its file: a pool of 32 threads
would take 25 GB. A thread waits here until the images that are being decoded leave room for its own.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

PIXELS_AT_ONCE = 128_000_000
"""Pixels that are decoded at once: about 2 GB of the costliest files, ten photographs of 12 megapixels."""


@final
class PixelBudget:
    """Room for pixels that threads share.

    Args:
        pixels: how many at once; an image with more is decoded alone.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self.clear()

    def clear(self) -> None:
        """Forgets who holds what: in a forked process the threads that do are gone."""
        self._left = self._pixels
        self._changed = threading.Condition()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Waits for room, and holds it while the block runs. Blocks of one thread must not lie in one another."""
        wanted = min(pixels, self._pixels)
        changed = self._changed
        with changed:
            changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        try:
            yield
        finally:
            with changed:
                self._left += wanted
                changed.notify_all()


DECODING = PixelBudget(PIXELS_AT_ONCE)
"""What every decoder of this process shares."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DECODING.clear)
