"""A run's results as files and in the terminal."""

from pathlib import Path

from rich.console import Console

from radapter.commands.terminal import say
from radapter.protocol import RESULTS, Results
from radapter.report import draw, results_markdown, results_table
from radapter.storage import write_text

TABLE, FRONTIER = "results.md", "frontier.png"
FILES = (RESULTS, TABLE, FRONTIER)


def write_report(results: Results, folder: Path) -> None:
    """Writes results.md and, where something was swept, frontier.png beside results.json."""
    write_text(folder / TABLE, results_markdown(results.as_dict()))
    if _has_curve(results):
        draw(results.as_dict(), folder / FRONTIER)


def print_results(results: Results, folder: Path | None = None) -> None:
    """Prints the table, and where its files are."""
    console = Console()
    console.print(results_table(results.as_dict(), width=console.width))
    if folder is not None:
        files = [RESULTS, TABLE, *([FRONTIER] if _has_curve(results) else [])]
        say(f"In {folder}: {', '.join(files)}.")


def _has_curve(results: Results) -> bool:
    """A frontier needs a trained method and shifted sets."""
    return len(results.sweep) > 1 and results.sweep[0].ood_mean is not None
