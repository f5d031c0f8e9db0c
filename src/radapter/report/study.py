"""What a benchmark over several seeds leaves behind: results.json, results.md and frontier.png."""

from collections.abc import Mapping
from pathlib import Path

from radapter.protocol.seeds import over_seeds
from radapter.protocol.study import Study
from radapter.report.curves import Json
from radapter.report.frontier import draw
from radapter.report.table import results_markdown
from radapter.storage import write_json, write_text


def write_study(
    folder: Path,
    found: Study,
    *,
    title: str,
    command: str,
) -> str:
    """Writes the three files and returns the Markdown.

    Args:
        folder: made where it is absent.
        found: of at least two seeds.
        title: of the page.
        command: that made it.
    """
    results = over_seeds(found.results)
    searched = search_markdown(found.search, found.learning_rates)
    text = f"# {title}\n\n    {command}\n\n{results_markdown(results)}\n{searched}"
    write_text(folder / "results.md", text)
    write_json(folder / "results.json", results)
    draw(results, folder / "frontier.png")
    return text


def search_markdown(search: Mapping[str, Mapping[float, Json]], rates: Mapping[str, float]) -> str:
    """The search of learning rates: ID validation at alpha 1 of every training, the chosen rate in bold."""
    grid = sorted({rate for of_rate in search.values() for rate in of_rate})
    lines = [
        "Learning rates, the same grid for every method; top-1 on ID validation at alpha 1, in %:",
        "",
        "| training | " + " | ".join(f"{rate:g}" for rate in grid) + " |",
        "|---|" + "---:|" * len(grid),
    ]
    for name, of_rate in search.items():
        texts = {rate: f"{100 * of_rate[rate]['top1']:.1f}" for rate in grid}
        cells = (f"**{text}**" if rate == rates[name] else text for rate, text in texts.items())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
