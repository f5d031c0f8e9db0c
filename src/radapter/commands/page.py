"""`radapter report` and `radapter plot`: a finished run or comparison as one HTML file, and its figures."""

from pathlib import Path

from radapter.commands.terminal import next_steps, say
from radapter.report.page import PAGE, write_page
from radapter.report.page.plots import PLOTS, write_plots
from radapter.storage import check_destination


def report(folder: Path, *, out: Path | None, images: bool) -> None:
    """Writes the HTML report, by default into the folder.

    Raises:
        MissingExtraError: the extra `report` is not installed.
        InputError: the run or comparison is not finished, or `out` cannot be written.
    """
    to = _destination(folder, out, PAGE)
    write_page(folder, to, images=images)
    say(f"Wrote {to}, {to.stat().st_size / 2**20:.1f} MiB. Open it in a browser; it loads nothing.")


def plot(folder: Path, *, out: Path | None) -> None:
    """Writes every figure of the report as PNG and SVG.

    Raises:
        MissingExtraError: the extra `report` is not installed.
        InputError: the run or comparison is not finished, or `out` cannot be written.
    """
    to = _destination(folder, out, PLOTS)
    written = write_plots(folder, to)
    names = sorted({path.stem for path in written})
    say(f"Wrote {len(written)} files to {to}: {', '.join(names)}, each as PNG and SVG.")
    next_steps(("all of it on one page", f"radapter report {folder}"))


def _destination(folder: Path, out: Path | None, default: str) -> Path:
    """The place to write to, checked before the work; a folder that is missing is reported by the work."""
    to = folder / default if out is None else out
    if folder.is_dir():
        check_destination(to)
    return to
