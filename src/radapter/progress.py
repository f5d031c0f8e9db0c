"""Progress bars for work that counts items: hashing, mining, indexing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_QUIET = ContextVar("radapter_quiet", default=False)


@contextmanager
def quietly() -> Iterator[None]:
    """A block without progress bars and hints."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether progress bars and hints are off."""
    return _QUIET.get()


@contextmanager
def counting() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Shows progress bars on stderr while the block runs; `bar(name)` gives a callback of (done, total)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=is_quiet()),
        transient=True,
    ) as progress:

        def of(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(name, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield of
