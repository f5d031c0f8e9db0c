"""What a comparison over seeds leaves behind: results.json, tables in Markdown, CSV and LaTeX, frontier.png."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from radapter.evaluation import Baseline, Headline
from radapter.protocol.generalisation import base_to_novel
from radapter.protocol.robustness import robustness
from radapter.protocol.search import Search
from radapter.protocol.seeds import over_seeds
from radapter.protocol.study import Study
from radapter.report.curves import Json
from radapter.report.frontier import draw
from radapter.report.levels import differences_markdown, levels_markdown
from radapter.report.metrics import headline_of
from radapter.report.pages import details_markdown
from radapter.report.paper import results_csv, results_latex
from radapter.report.selection import kept_zero_shot
from radapter.report.table import results_markdown
from radapter.storage import write_json, write_text

FILES = ("results.json", "results.md", "results.csv", "results.tex", "frontier.png")


def study_results(found: Study, *, standard: Baseline | None = None) -> dict[str, Any]:
    """The comparison in the form of results.json: means and spread over seeds, OOD at fixed ID levels, the search.

    Args:
        found: of one seed or more.
        standard: the line of standard models; rows then have their effective and relative robustness.

    Raises:
        ConfigError: robustness is asked for without OOD sets.
    """
    several = len(found.results) > 1
    results: dict[str, Any] = over_seeds(found.results) if several else found.results[0].as_dict()
    results["levels"] = None if found.levels is None else found.levels.model_dump(mode="json")
    search = {
        name: {
            "learning_rates": {f"{rate:g}": metrics for rate, metrics in rates.found.items()},
            "best": rates.best,
            "chosen": rates.chosen,
            "at_edge": rates.at_edge,
        }
        for name, rates in found.search.items()
    }
    if standard is not None:
        of_method = robustness(found.results, standard)
        results = {
            **results,
            "rows": [{**row, **of_method[row["method"]]} for row in results["rows"]],
            "standard_models": asdict(standard),
        }
    if found.diverged:
        results["diverged"] = found.diverged
    return {**results, "search": search, "learning_rates": found.learning_rates}


def write_study(
    folder: Path,
    found: Study,
    *,
    title: str,
    command: str,
    standard: Baseline | None = None,
) -> str:
    """Writes the files and returns the Markdown.

    Args:
        folder: made where it is absent.
        found: of one seed or more.
        title: of the page.
        command: that made it.
        standard: the line of standard models; see `study_results`.
    """
    results = study_results(found, standard=standard)
    parts = [f"# {title}", f"    {command}"]
    if results["levels"] is not None:
        parts += [levels_markdown(results), differences_markdown(results)]
    parts += [results_markdown(results), details_markdown(results), *kept_zero_shot(results)]
    parts += [robustness_markdown(results)] if standard is not None else []
    parts += [base_to_novel_markdown(found)] if results["rows"][0]["transfer"] else []
    parts.append(search_markdown(found.search, headline_of(results)))
    text = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    write_text(folder / "results.md", text)
    write_text(folder / "results.csv", results_csv(results))
    write_text(folder / "results.tex", results_latex(results))
    write_json(folder / "results.json", results)
    if all(row["ood_mean"] is not None for row in results["rows"]) and len(results["sweep"]) > 1:
        draw(results, folder / "frontier.png")
    return text


def robustness_markdown(results: Json) -> str:
    """Effective and relative robustness of every row, in points, with the spread over seeds."""
    line = results["standard_models"]
    lines = [
        f"Robustness after Taori et al. 2020, in points. Effective: OOD mean above that of {line['models']} "
        "standard models at the same ID, which lie on",
        "",
        f"    logit(OOD) = {line['slope']:.3f} logit(ID) {line['intercept']:+.3f}",
        "",
        "Relative: OOD mean above zero-shot's.",
        "",
        "| method | effective | relative |",
        "|---|---:|---:|",
    ]
    for row in results["rows"]:
        cells = (_points(row, f"{which}_robustness") for which in ("effective", "relative"))
        lines.append(f"| {row['method']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def base_to_novel_markdown(found: Study) -> str:
    """ID (base) and transfer (novel) accuracy of every row with both averages of their harmonic mean, in %."""
    lines = [
        "Harmonic mean H of ID (base) and transfer (novel), in %: the mean over seeds of each seed's H, and the H "
        "of the means, as CoOp's tables have it.",
        "",
        "| method | base | novel | mean of H | H of means |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in found.results[0].rows:
        of = base_to_novel(found.results, row.method)
        figures = (of.base, of.novel, of.mean_of_harmonic, of.harmonic_of_means)
        lines.append(f"| {row.method} | " + " | ".join(f"{100 * figure:.1f}" for figure in figures) + " |")
    return "\n".join(lines) + "\n"


def search_markdown(search: Search, headline: Headline) -> str:
    """The search of learning rates: each rate of a training with its score, the chosen one in bold."""
    points = max(len(of.found) for of in search.values())
    lines = [
        f"Learning rates, half a decade apart, and {headline.label} on ID validation at alpha 1, in %. In bold: the "
        "smallest rate within one paired standard error of the best.",
        "",
        "| training |" + " |" * points,
        "|---|" + "---:|" * points,
    ]
    for name, of in search.items():
        texts = {
            rate: f"{rate:g}: " + ("diverged" if metrics is None else f"{100 * headline.score(metrics):.1f}")
            for rate, metrics in of.found.items()
        }
        cells = (f"**{text}**" if rate == of.chosen else text for rate, text in texts.items())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", *edges] if (edges := edge_lines(search)) else []
    return "\n".join(lines) + "\n"


def edge_lines(search: Search) -> list[str]:
    """One line for each training whose best learning rate is the first or last that was tried."""
    return [
        f"{name}: the best of its {len(of.found)} learning rates, {of.best:g}, is the edge of the grid; set "
        f"compare.rates to {{{name}: {of.best:g}}} to search around it."
        for name, of in search.items()
        if of.at_edge
    ]


def _points(row: Json, key: str) -> str:
    spread = row.get(f"{key}_std")
    return f"{100 * row[key]:+.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
