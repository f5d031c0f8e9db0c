"""The files of a comparison over seeds: results.json, tables in Markdown, CSV and LaTeX, frontier.png."""

import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from radapter.evaluation import Baseline, Headline
from radapter.report.cells import ABSENT, Column, at_alpha, cell, markdown, mean_cell, set_cell, texts_of
from radapter.report.frontier import draw
from radapter.report.levels import differences_markdown, figure_of, level_headers, levels_markdown
from radapter.report.metrics import BESIDE
from radapter.report.pages import details_markdown
from radapter.report.selection import kept_zero_shot
from radapter.report.table import parameters, results_markdown
from radapter.runs.results import MEANS, RESULTS, Figure, Levels, RateGrid, Results, Row, Value
from radapter.storage import write_text
from radapter.tasks.suite import TESTED, Role

FILES = (RESULTS, "results.md", "results.csv", "results.tex", "frontier.png")
_SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def write_study(folder: Path, results: Results, *, title: str, command: str) -> str:
    """Writes the files into `folder` and returns the Markdown page, which has the title and the command."""
    parts = [f"# {title}", f"    {command}", levels_markdown(results), differences_markdown(results)]
    parts += [results_markdown(results), details_markdown(results), *kept_zero_shot(results)]
    parts += [robustness_markdown(results, results.standard_models)] if results.standard_models else []
    parts += [base_to_novel_markdown(results)] if results.sets("transfer") else []
    if results.search:
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
        [row.method, *(cell(value, sign=True).text for value in (of.effective, of.relative))]
        for row in results.rows
        if (of := row.robustness) is not None
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
    """The learning rates of each training with their scores, the chosen one in bold."""
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


def results_csv(results: Results) -> str:
    """Returns one line per method: the task's scores in fractions, their spread over seeds, seconds, bytes.

    `ood_at_25` is OOD at the level of 25 % of the best ID gain, whose absolute ID is `id_at_25`; `_low` and `_high`
    are its 95 % interval. An empty cell is a level that is not reached. `id_mean_at_1` and so on are at alpha 1.
    """
    lines = [_record(results, row) for row in results.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def results_latex(results: Results) -> str:
    """Returns a booktabs table of the task's score in per cent, the best of each column in bold."""
    columns = _columns(results)
    headers = ["Method", "Trained", *(column.header for column in columns), "Memory, MiB", "s/epoch"]
    body = []
    for row, texts in zip(results.rows, texts_of(columns, results.rows, least=1), strict=True):
        cells = [row.method.translate(_SPECIAL), parameters(row.trained_parameters).replace(" ", "~")]
        cells += [rf"\textbf{{{_latex(text)}}}" if is_best else _latex(text) for text, is_best in texts]
        cells.append("--" if row.step_bytes is None else f"{row.step_bytes / 2**20:.0f}")
        cells.append("--" if row.seconds_per_epoch is None else f"{row.seconds_per_epoch:.1f}")
        body.append(" & ".join(cells) + r" \\")
    rule = "l" + "r" * (len(headers) - 1)
    title = " & ".join(header.translate(_SPECIAL) for header in headers) + r" \\"
    text = "\n".join(body)
    return (
        f"% needs \\usepackage{{booktabs}}; {results.headline.label} in per cent\n"
        f"\\begin{{tabular}}{{{rule}}}\n\\toprule\n{title}\n\\midrule\n{text}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _record(results: Results, row: Row) -> dict[str, object]:
    """Header -> cell of a row."""
    roles = TESTED if results.sets("transfer") else TESTED[:2]
    record: dict[str, object] = {
        "method": row.method,
        "alpha": row.alpha,
        "seeds": len(row.alphas),
        "learning_rate": row.learning_rate,
        "trained_parameters": row.trained_parameters,
        **({} if results.levels is None else _at_levels(results.levels, row)),
    }
    for role in roles:
        record |= _with_std(MEANS[role], row.mean(MEANS[role]))
    if results.sets("transfer"):
        record |= _with_std("harmonic_mean", row.mean("harmonic_mean"))
        record["harmonic_of_means"] = row.harmonic_of_means
    end = at_alpha(results, row, 1.0)
    for role in roles:
        value = None if end is None else end.mean(MEANS[role])
        record[f"{MEANS[role]}_at_1"] = None if value is None else value.mean
    metrics = {"": results.headline.metric} | {f":{part}": part for part in results.headline.parts}
    for role in TESTED:
        for name in results.sets(role):
            for of, metric in metrics.items():
                record |= _with_std(f"{role}:{name}{of}", row.value(role, name, metric))
    if results.standard_models is not None and row.robustness is not None:
        record |= _with_std("effective_robustness", row.robustness.effective)
        record |= _with_std("relative_robustness", row.robustness.relative)
    costs = {"step_bytes": row.step_bytes, "seconds_per_epoch": row.seconds_per_epoch, "seconds": row.seconds}
    return record | costs


def _with_std(name: str, value: Value | None) -> dict[str, float | None]:
    mean, std = (None, None) if value is None else (value.mean, value.std)
    return {name: mean, f"{name}_std": std}


def _at_levels(levels: Levels, row: Row) -> dict[str, float | None]:
    """Header -> figure of a row at each level."""
    record: dict[str, float | None] = {}
    for number, (fraction, level) in enumerate(zip(levels.fractions, levels.id, strict=False)):
        name = f"{100 * fraction:g}"
        figure = figure_of(levels, row, number)
        interval = None if figure is None else figure.interval
        record |= {
            f"id_at_{name}": level,
            **_with_std(f"ood_at_{name}", _value(figure)),
            f"ood_at_{name}_low": None if interval is None else interval.low,
            f"ood_at_{name}_high": None if interval is None else interval.high,
        }
    return record | _with_std("hypervolume", _value(figure_of(levels, row, None)))


def _value(figure: Figure | None) -> Value | None:
    return None if figure is None or figure.mean is None else Value(mean=figure.mean, std=figure.std)


def _columns(results: Results) -> list[Column]:
    """OOD at the levels, means, those of the metrics beside, and sets."""
    headline, levels = results.headline.metric, results.levels
    columns = []
    if levels is not None:
        columns += [
            Column(header, lambda row, number=number: cell(_value(figure_of(levels, row, number))))  # type: ignore[misc]
            for header, number in level_headers(levels)
        ]
    roles: list[tuple[Role, str, str]] = [
        ("id", "ID", "ID"), ("ood", "OOD", "OOD mean"), ("transfer", "Transfer", "Kept")
    ]  # fmt: skip
    for role, label, header in roles:
        names = results.sets(role)
        for metric, of in {headline: "", **BESIDE[results.task]}.items() if names else ():
            columns.append(
                Column(f"{label} {of}" if of else header, partial(mean_cell, results, role, metric))
            )
        if role == "ood" or len(names) > 1:
            columns += [Column(name, partial(set_cell, results, role, name, headline)) for name in names]
    if results.sets("transfer"):
        columns.append(Column("H", lambda figures: cell(figures.mean("harmonic_mean"))))
    return columns


def _latex(text: str) -> str:
    return "--" if text == ABSENT else text.replace("±", r"$\pm$")
