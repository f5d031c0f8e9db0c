"""A bound on the pixels that all threads of a process decode at once.

An image of 50 million pixels takes up to 1.2 GB while it is decoded and resized, however small its file: 32 threads
would take 38 GB. A thread waits here until other threads release enough pixels.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

PIXELS_AT_ONCE = 128_000_000
"""About 3 GB of the costliest files, or ten photographs of 12 megapixels."""


@final
class PixelBudget:
    """A budget of pixels that threads share; an image with more pixels is decoded alone."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self.clear()

    def clear(self) -> None:
        """Releases everything: in a forked process, the threads that held pixels are gone."""
        self._left = self._pixels
        self._changed = threading.Condition()
        self._thread = threading.local()

    @contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Waits for enough pixels and holds them until the block ends, or until an enclosing `working` ends.

        Inside `working`, only the last image counts, so that no two threads hold pixels and wait for each other.
        """
        keeps = self._give_back()
        wanted = min(pixels, self._pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        self._thread.kept = wanted
        try:
            yield
        finally:
            if not keeps:
                self._give_back()
                self._thread.kept = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """A block in which an image is decoded and used; its pixels are released at the end."""
        self._thread.kept = 0
        try:
            yield
        finally:
            self._give_back()
            self._thread.kept = None

    def _give_back(self) -> bool:
        """Releases what this thread holds. Returns whether it is in a block of `working`."""
        kept: int | None = getattr(self._thread, "kept", None)
        if kept:
            with self._changed:
                self._left += kept
                self._changed.notify_all()
            self._thread.kept = 0
        return kept is not None


DECODING = PixelBudget(PIXELS_AT_ONCE)
"""Shared by every decoder of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=DECODING.clear)
