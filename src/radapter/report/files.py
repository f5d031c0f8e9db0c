"""The files that follow from results.json: results.md, and frontier.png where something was swept."""

from pathlib import Path

from radapter.report.frontier import draw, frontier_figure
from radapter.report.levels import levels_markdown
from radapter.report.pages import details_markdown
from radapter.report.selection import kept_zero_shot
from radapter.report.table import grid, results_markdown
from radapter.runs.results import RESULTS, Results
from radapter.runs.trackers import Drawn
from radapter.storage import write_text

TABLE, FRONTIER = "results.md", "frontier.png"
FILES = (RESULTS, TABLE, FRONTIER)


def write_report(results: Results, folder: Path) -> None:
    """Writes results.md and, where something was swept, frontier.png beside results.json."""
    notes = [f"{note}\n" for note in kept_zero_shot(results, run=run_of(results, folder))]
    pages = (levels_markdown, results_markdown, details_markdown)
    write_text(folder / TABLE, "\n".join(filter(None, [*(page(results) for page in pages), *notes])))
    if has_curve(results):
        draw(results, folder / FRONTIER)


def drawn(results: Results) -> Drawn:
    """Returns what a tracker shows of the results: the table, and the frontier where something was swept."""
    table = grid(results)
    figure = frontier_figure(results) if has_curve(results) else None
    return Drawn(table.headers, [line.cells for line in table.lines], results_markdown(results), figure)


def run_of(results: Results, folder: Path) -> str | None:
    """Returns the folder of a run of one method; None for a demo, which has several."""
    return str(folder) if len(results.rows) == 2 else None


def has_curve(results: Results) -> bool:
    """Returns whether there is a frontier to draw: a trained method and shifted sets."""
    return len(results.sweep) > 1 and results.sweep[0].ood_mean is not None
