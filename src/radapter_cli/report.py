"""`radapter report` and `radapter plot`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from radapter_cli.application import LOOK, command

Finished = Annotated[Path, Argument(metavar="RUN|COMPARISON", help="A finished run or comparison.")]


@command(
    "radapter report runs/world",
    "radapter report compared --out report.html --no-images",
    panel=LOOK,
)
def report(
    folder: Finished,
    out: Annotated[
        Path | None, Option(help="The HTML file.", show_default="report.html in the directory")
    ] = None,
    no_images: Annotated[
        bool,
        Option(
            "--no-images", help="Leave out the thumbnails, at most 40, which are read again from the data."
        ),
    ] = False,
) -> None:
    """Write one self-contained HTML page: what was gained and kept, at every alpha."""
    from radapter.commands.page import report as run

    run(folder, out=out, images=not no_images)


@command("radapter plot runs/world", "radapter plot compared --out figures", panel=LOOK)
def plot(
    folder: Finished,
    out: Annotated[Path | None, Option(help="The directory.", show_default="plots in the directory")] = None,
) -> None:
    """Write each figure of the report as PNG and SVG."""
    from radapter.commands.page import plot as run

    run(folder, out=out)
