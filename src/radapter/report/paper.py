"""The table in the layout of the paper, for other programs and for papers: CSV and LaTeX.

CSV has the plain figures: fractions, seconds and bytes. LaTeX has rounded per cent.
"""

import csv
import io
from functools import partial
from typing import get_args

from radapter.report.cells import ABSENT, Cell, Column, cell, mean_cell, set_cell
from radapter.report.curves import at_alpha
from radapter.report.metrics import BESIDE
from radapter.report.table import parameters
from radapter.runs.results import MEANS, Figures, Levels, Mean, MethodLevels, Results, Row, Value
from radapter.tasks.suite import TESTED, Role

_SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def results_csv(results: Results) -> str:
    """One line a method: the task's figures as results.json has them, their spread over seeds, seconds, bytes.

    Columns: method, alpha, seeds, learning rate, trained parameters; OOD at fixed ID levels and the hypervolume
    where methods were compared; means over ID, OOD and transfer sets, and the same at alpha 1; each set, with
    retrieval's recalls; robustness where the results have a line of standard models; memory of a step, time per
    epoch.

    `ood_at_25` is OOD at the level of 25 % of the best ID gain, whose absolute ID is `id_at_25`; `_low` and `_high`
    are its 95 % interval. An empty cell is a level that is not reached. The figures at alpha 1 are `id_mean_at_1`
    and so on.

    Args:
        results: of one seed or of several.
    """
    lines = [_record(results, row) for row in results.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def results_latex(results: Results) -> str:
    """A booktabs table of the task's figure in per cent, the best of each column in bold.

    Columns: method, trained parameters, OOD at fixed ID levels and the hypervolume where methods were compared, ID
    mean, each ID set where there are several, OOD mean, each OOD set, what was kept (the mean over transfer sets),
    each of several and the harmonic mean of ID and kept, memory of a step, time per epoch; beside the means those of
    retrieval's R@1.

    Args:
        results: of one seed or of several.
    """
    columns = _columns(results)
    headers = ["Method", "Trained", *(column.header for column in columns), "Memory, MiB", "s/epoch"]
    lines = [[column.cell(row) for column in columns] for row in results.rows]
    best = [
        max((c.score for c in column if c.score is not None), default=None)
        for column in zip(*lines, strict=True)
    ]
    body = []
    for row, figures in zip(results.rows, lines, strict=True):
        cells = [row.method.translate(_SPECIAL), parameters(row.trained_parameters).replace(" ", "~")]
        cells += [
            rf"\textbf{{{_latex(each.text)}}}"
            if each.score is not None and each.score == top
            else _latex(each.text)
            for each, top in zip(figures, best, strict=True)
        ]
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
    has_transfer = bool(results.sets("transfer"))
    record: dict[str, object] = {
        "method": row.method,
        "alpha": row.alpha,
        "seeds": len(row.alphas),
        "learning_rate": row.learning_rate,
        "trained_parameters": row.trained_parameters,
        **_at_levels(results, row),
    }
    for mean in get_args(Mean) if has_transfer else ("id_mean", "ood_mean"):
        record |= _with_std(mean, row.mean(mean))
    record |= {"harmonic_of_means": row.harmonic_of_means} if has_transfer else {}
    end = at_alpha(results, row, 1.0)
    for role in TESTED if has_transfer else TESTED[:2]:
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


def _at_levels(results: Results, row: Row) -> dict[str, float | None]:
    """Header -> figure of a row at each level; empty where methods were not compared."""
    levels = results.levels
    if levels is None:
        return {}
    of = levels.methods.get(row.method)
    record: dict[str, float | None] = {}
    for number, (fraction, level) in enumerate(zip(levels.fractions, levels.id, strict=False)):
        name = f"{100 * fraction:g}"
        interval = None if of is None else of.ood[number].interval
        record |= {
            f"id_at_{name}": level,
            **_with_std(f"ood_at_{name}", _at_level(of, number)),
            f"ood_at_{name}_low": None if interval is None else interval.low,
            f"ood_at_{name}_high": None if interval is None else interval.high,
        }
    return record | _with_std("hypervolume", _at_level(of))


def _at_level(of: MethodLevels | None, number: int | None = None) -> Value | None:
    """OOD at a level, or the hypervolume; None where it is not reached."""
    figure = None if of is None else of.hypervolume if number is None else of.ood[number]
    return None if figure is None or figure.mean is None else Value(mean=figure.mean, std=figure.std)


def _columns(results: Results) -> list[Column]:
    """Means, those of the metrics beside, and sets."""
    headline, levels = results.headline.metric, results.levels
    columns = []
    if levels is not None:
        columns += [
            Column(f"OOD at ID {100 * level:.1f}", partial(_level_cell, levels, number))
            for number, level in enumerate(levels.id)
        ]
        columns.append(Column("Hypervolume", partial(_level_cell, levels, None)))
    roles: dict[Role, tuple[str, str]] = {
        "id": ("ID", "ID"),
        "ood": ("OOD", "OOD mean"),
        "transfer": ("Transfer", "Kept"),
    }
    for role, (label, header) in roles.items():
        names = results.sets(role)
        if names:
            columns.append(Column(header, partial(mean_cell, results, role, headline)))
            columns += [
                Column(f"{label} {of}", partial(mean_cell, results, role, metric))
                for metric, of in BESIDE[results.task].items()
            ]
        if role == "ood" or len(names) > 1:
            columns += [Column(name, partial(set_cell, results, role, name, headline)) for name in names]
    if results.sets("transfer"):
        columns.append(Column("H", lambda figures: cell(figures.mean("harmonic_mean"))))
    return columns


def _level_cell(levels: Levels, number: int | None, figures: Figures) -> Cell:
    return cell(_at_level(levels.methods.get(figures.method), number))


def _latex(text: str) -> str:
    return "--" if text == ABSENT else text.replace("±", r"$\pm$")
