"""What a benchmark over several seeds leaves behind: results.json, results.md and frontier.png."""

from collections.abc import Mapping
from pathlib import Path

from radapter.report.curves import Json
from radapter.report.frontier import draw
from radapter.report.table import results_markdown
from radapter.storage import write_json, write_text


def write_study(
    folder: Path, results: Json, grid: Mapping[str, Mapping[float, float]], *, title: str, command: str
) -> str:
    """Writes the three files and returns the Markdown.

    Args:
        folder: made where it is absent.
        results: `protocol.study.over_seeds` of the seeds' results.
        grid: training -> learning rate -> top-1 on ID validation at alpha 1.
        title: of the page.
        command: that made it.
    """
    text = f"# {title}\n\n    {command}\n\n{results_markdown(results)}\n{grid_markdown(grid)}"
    write_text(folder / "results.md", text)
    write_json(folder / "results.json", results)
    draw(results, folder / "frontier.png")
    return text


def grid_markdown(grid: Mapping[str, Mapping[float, float]]) -> str:
    """The search of learning rates: ID validation at alpha 1 of every training, the chosen rate in bold."""
    rates = sorted({rate for of_rate in grid.values() for rate in of_rate})
    lines = [
        "Learning rates, the same grid for every method; top-1 on ID validation at alpha 1, in %:",
        "",
        "| training | " + " | ".join(f"{rate:g}" for rate in rates) + " |",
        "|---|" + "---:|" * len(rates),
    ]
    for name, of_rate in grid.items():
        best = max(sorted(of_rate), key=of_rate.__getitem__)
        cells = (f"**{100 * of_rate[r]:.1f}**" if r == best else f"{100 * of_rate[r]:.1f}" for r in rates)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
