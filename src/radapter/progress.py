"""Progress bars, in a terminal and in a notebook."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

_QUIET = ContextVar("radapter_quiet", default=False)
_PAUSE = 0.2  # seconds between two updates in a notebook
_WIDTH = 100  # characters of a bar in a notebook
_PAGE = '<pre style="white-space: pre; line-height: normal">{code}</pre>'


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """A block without progress bars and hints; False changes nothing."""
    token = _QUIET.set(quiet or is_quiet())
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Whether progress bars and hints are off."""
    return _QUIET.get()


def progress_of(*columns: ProgressColumn, quiet: bool = False) -> Progress:
    """Returns bars that disappear at the end: on stderr, as stdout holds results, or below a notebook's cell."""
    quiet = quiet or is_quiet()
    if Console().is_jupyter and not quiet:
        return _NotebookProgress(*columns, console=Console(file=io.StringIO(), force_jupyter=False))
    return Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True)


@contextmanager
def counting() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Shows progress bars while the block runs; `bar(name)` gives a callback of (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_of(*columns) as progress:

        def of(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(name, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield of


class _NotebookProgress(Progress):
    """Bars in one output of a cell, updated in place. Rich's own need ipywidgets."""

    _updated = 0.0
    _output: Any = None

    def start(self) -> None:
        """Adds an empty output to the cell."""
        from IPython.display import HTML, display

        self._output = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Empties the output."""
        self._show("")

    def update(self, *arguments: Any, **values: Any) -> None:
        """Moves a bar, and shows it unless one was shown a moment ago."""
        super().update(*arguments, **values)
        if time.monotonic() - self._updated > _PAUSE:
            self._updated = time.monotonic()
            self.refresh()

    def refresh(self) -> None:
        """Shows the bars."""
        drawn = Console(file=io.StringIO(), record=True, force_jupyter=False, width=_WIDTH)
        drawn.print(self.get_renderable())
        self._show(drawn.export_html(inline_styles=True, code_format=_PAGE))

    def _show(self, page: str) -> None:
        from IPython.display import HTML

        if self._output is not None:
            self._output.update(HTML(page))  # type: ignore[no-untyped-call]
