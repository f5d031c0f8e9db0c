"""`radapter report` and `radapter plot`: a finished run or comparison as one HTML file, and its figures."""

from pathlib import Path

from radapter.commands.terminal import next_steps, say
from radapter.errors import MissingExtraError, RAdapterError
from radapter.report.page import PAGE, write_page
from radapter.report.page.plots import PLOTS, write_plots
from radapter.storage import check_destination
from radapter.tasks.suite import Suite


def report(folder: Path, *, out: Path | None, images: bool) -> None:
    """Writes the HTML report, by default into the folder.

    Raises:
        MissingExtraError: the extra `report` is not installed.
        InputError: the run or comparison is not finished, or `out` cannot be written.
    """
    to = folder / PAGE if out is None else out
    if folder.is_dir():
        check_destination(to)
    write_page(folder, to, images=images)
    say(f"Wrote {to}, {to.stat().st_size / 2**20:.1f} MiB. Open it in a browser; it loads nothing.")


def plot(folder: Path, *, out: Path | None) -> None:
    """Writes every figure of the report as PNG and SVG.

    Raises:
        MissingExtraError: the extra `report` is not installed.
        InputError: the run or comparison is not finished, or `out` cannot be written.
    """
    to = folder / PLOTS if out is None else out
    if folder.is_dir():
        check_destination(to)
    written = write_plots(folder, to)
    names = sorted({path.stem for path in written})
    say(f"Wrote {len(written)} files to {to}: {', '.join(names)}, each as PNG and SVG.")
    next_steps(("all of it on one page", f"radapter report {folder}"))


def write_page_beside(folder: Path, suite: Suite | None = None) -> None:
    """Writes the HTML report of a run or comparison that just finished, or says why there is none.

    The test sets of the suite are open already.
    """

    def opened(role: str, name: str) -> object:
        assert suite is not None
        return suite.sets(role)[role, name]

    try:
        write_page(folder, folder / PAGE, sets=None if suite is None else opened)  # type: ignore[arg-type]
    except MissingExtraError as error:
        say(f"{PAGE} was not written: {error} Then run radapter report {folder}")
    except RAdapterError as error:
        say(f"{PAGE} was not written: {error}", style="yellow")
