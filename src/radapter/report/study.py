"""What a comparison over seeds leaves behind: results.json, tables in Markdown, CSV and LaTeX, frontier.png."""

from collections.abc import Mapping
from pathlib import Path

from radapter.evaluation import Baseline, Headline
from radapter.report.cells import cell, markdown
from radapter.report.frontier import draw
from radapter.report.levels import differences_markdown, levels_markdown
from radapter.report.pages import details_markdown
from radapter.report.paper import results_csv, results_latex
from radapter.report.selection import kept_zero_shot
from radapter.report.table import results_markdown
from radapter.runs.results import RESULTS, RateGrid, Results
from radapter.storage import write_text

FILES = (RESULTS, "results.md", "results.csv", "results.tex", "frontier.png")


def write_study(folder: Path, results: Results, *, title: str, command: str) -> str:
    """Writes the files and returns the Markdown.

    Args:
        folder: made where it is absent.
        results: as `Comparison.report` gives them.
        title: of the page.
        command: that made it.
    """
    parts = [f"# {title}", f"    {command}", levels_markdown(results), differences_markdown(results)]
    parts += [results_markdown(results), details_markdown(results), *kept_zero_shot(results)]
    parts += [robustness_markdown(results, results.standard_models)] if results.standard_models else []
    parts += [base_to_novel_markdown(results)] if results.sets("transfer") else []
    parts.append(search_markdown(results.search, results.headline))
    text = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    write_text(folder / "results.md", text)
    write_text(folder / "results.csv", results_csv(results))
    write_text(folder / "results.tex", results_latex(results))
    results.write(folder)
    if results.sets("ood") and len(results.sweep) > 1:
        draw(results, folder / "frontier.png")
    return text


def robustness_markdown(results: Results, standard: Baseline) -> str:
    """Effective and relative robustness of every row, in points, with the spread over seeds."""
    lines = [
        [
            row.method,
            *(cell(each, sign=True).text for each in (row.robustness.effective, row.robustness.relative)),
        ]
        for row in results.rows
        if row.robustness is not None
    ]
    return (
        f"Robustness after Taori et al. 2020, in points. Effective: OOD mean above that of {standard.models} "
        "standard models at the same ID, which lie on\n\n"
        f"    logit(OOD) = {standard.slope:.3f} logit(ID) {standard.intercept:+.3f}\n\n"
        f"Relative: OOD mean above zero-shot's.\n\n{markdown(['method', 'effective', 'relative'], lines)}\n"
    )


def base_to_novel_markdown(results: Results) -> str:
    """ID (base) and transfer (novel) accuracy of every row with both averages of their harmonic mean, in %."""
    lines = []
    for row in results.rows:
        of_means = row.harmonic_mean if row.harmonic_of_means is None else row.harmonic_of_means
        figures = (row.id_mean, row.kept, row.harmonic_mean, of_means)
        lines.append([row.method, *(f"{100 * (figure or 0.0):.1f}" for figure in figures)])
    headers = ["method", "base", "novel", "mean of H", "H of means"]
    return (
        "Harmonic mean H of ID (base) and transfer (novel), in %: the mean over seeds of each seed's H, and the H "
        f"of the means, as CoOp's tables have it.\n\n{markdown(headers, lines)}\n"
    )


def search_markdown(search: Mapping[str, RateGrid], headline: Headline) -> str:
    """The search of learning rates: each rate of a training with its score, the chosen one in bold."""
    points = max(len(of.learning_rates) for of in search.values())
    lines = []
    for name, of in search.items():
        texts = {
            rate: f"{rate:g}: " + ("diverged" if metrics is None else f"{100 * headline.score(metrics):.1f}")
            for rate, metrics in of.learning_rates.items()
        }
        lines.append([name, *(f"**{text}**" if rate == of.chosen else text for rate, text in texts.items())])
    edges = "".join(f"{line}\n" for line in edge_lines(search))
    return (
        f"Learning rates, half a decade apart, and {headline.label} on ID validation at alpha 1, in %. In bold: the "
        "smallest rate within one paired standard error of the best.\n\n"
        f"{markdown(['training', *[''] * points], lines)}\n" + (f"\n{edges}" if edges else "")
    )


def edge_lines(search: Mapping[str, RateGrid]) -> list[str]:
    """One line for each training whose best learning rate is the first or last that was tried."""
    return [
        f"{name}: the best of its {len(of.learning_rates)} learning rates, {of.best:g}, is the edge of the grid; "
        f"set compare.rates to {{{name}: {of.best:g}}} to search around it."
        for name, of in search.items()
        if of.at_edge
    ]
