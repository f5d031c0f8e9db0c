"""The table of a comparison as CSV, in fractions, seconds and bytes, and as LaTeX, in rounded per cent."""

import csv
import io
from functools import partial

from radapter.report.cells import ABSENT, Column, cell, mean_cell, set_cell, texts_of
from radapter.report.curves import at_alpha
from radapter.report.levels import figure_of, level_headers
from radapter.report.metrics import BESIDE
from radapter.report.table import parameters
from radapter.runs.levels import Figure, Levels
from radapter.runs.results import MEANS, Results, Row, Value
from radapter.tasks.suite import TESTED, Role

_SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def results_csv(results: Results) -> str:
    """Returns one line per method: the task's scores as in results.json, their spread over seeds, seconds, bytes.

    Columns: method, alpha, seeds, learning rate, trained parameters; OOD at fixed ID levels and the hypervolume if
    methods were compared; means over ID, OOD and transfer sets, and the same at alpha 1 (`id_mean_at_1` and so on);
    each set, with retrieval's recalls; robustness if the results have a line of standard models; memory of a step,
    time per epoch.

    `ood_at_25` is OOD at the level of 25 % of the best ID gain, whose absolute ID is `id_at_25`; `_low` and `_high`
    are its 95 % interval. An empty cell is a level that is not reached.
    """
    lines = [_record(results, row) for row in results.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def results_latex(results: Results) -> str:
    """Returns a booktabs table of the task's score in per cent, the best of each column in bold.

    Columns: method, trained parameters, OOD at fixed ID levels and the hypervolume if methods were compared, ID
    mean, each ID set if there are several, OOD mean, each OOD set, Kept (the mean over transfer sets), each transfer
    set if there are several, the harmonic mean of ID and Kept, memory of a step, time per epoch; beside the means
    those of retrieval's R@1.
    """
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
    roles: dict[Role, tuple[str, str]] = {
        "id": ("ID", "ID"),
        "ood": ("OOD", "OOD mean"),
        "transfer": ("Transfer", "Kept"),
    }
    for role, (label, header) in roles.items():
        names = results.sets(role)
        metrics = {headline: header} | {
            metric: f"{label} {of}" for metric, of in BESIDE[results.task].items()
        }
        if names:
            columns += [
                Column(of, partial(mean_cell, results, role, metric)) for metric, of in metrics.items()
            ]
        if role == "ood" or len(names) > 1:
            columns += [Column(name, partial(set_cell, results, role, name, headline)) for name in names]
    if results.sets("transfer"):
        columns.append(Column("H", lambda figures: cell(figures.mean("harmonic_mean"))))
    return columns


def _latex(text: str) -> str:
    return "--" if text == ABSENT else text.replace("±", r"$\pm$")
