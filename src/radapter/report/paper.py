"""The table in the layout of the paper, for other programs and for papers: CSV and LaTeX.

Columns: method, trained parameters, OOD at fixed ID levels and the hypervolume where methods were compared, ID mean,
each ID set where there are several, OOD mean, each OOD set, what was kept (the mean over transfer sets), each of
several and the harmonic mean of ID and kept, memory of a step, time per epoch;
beside the means those of retrieval's R@1, and in CSV all recalls of a set. CSV has the plain figures, fractions and
seconds and bytes; LaTeX has what people read.
"""

import csv
import io
from collections.abc import Callable
from statistics import fmean
from typing import Any

from radapter.report.curves import Json
from radapter.report.metrics import BESIDE, headline_of, task_of
from radapter.report.table import at_alpha, parameters

_SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def results_csv(results: Json) -> str:
    """One line a method: the task's figures as results.json has them, their spread over seeds, seconds, bytes.

    Where methods were compared, `ood_at_25` is OOD at the level of 25 % of the best ID gain, whose absolute ID is
    `id_at_25`; `_low` and `_high` are its 95 % interval. An empty cell is a level that is not reached. The
    figures at alpha 1 are `id_mean_at_1` and so on.

    Where the results have a line of standard models, effective and relative robustness stand beside.

    Args:
        results: the whole of results.json, of one seed or of several.
    """
    sets, headline = _sets(results), headline_of(results)
    figures = {"": headline.metric} | {f":{part}": part for part in headline.parts}
    headers = ["method", "alpha", "seeds", "learning_rate", "trained_parameters"]
    means = ["id_mean", "id_mean_std", "ood_mean", "ood_mean_std"]
    at_end = ["id_mean", "ood_mean"]
    if _has_transfer(results):
        at_end.append("kept")
        means += [
            "kept",
            "kept_std",
            "harmonic_mean",
            "harmonic_mean_std",
            "harmonic_of_means",
        ]
    leveled = [_level_cells(results, row) for row in results["rows"]]
    headers += [*leveled[0], *means, *(f"{key}_at_1" for key in at_end)]
    headers += [f"{role}:{name}{of}{end}" for role, name in sets for of in figures for end in ("", "_std")]
    robust = [
        f"{which}_robustness{part}"
        for which in ("effective", "relative")
        for part in ("", "_std")
        if "standard_models" in results
    ]
    headers += [*robust, "step_bytes", "seconds_per_epoch", "seconds"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headers)
    for row, of_levels in zip(results["rows"], leveled, strict=True):
        cells = [
            row["method"],
            row["alpha"],
            row.get("seeds", 1),
            row["learning_rate"],
            row["trained_parameters"],
        ]
        cells += [*of_levels.values(), *(row.get(key) for key in means)]
        end = at_alpha(results, row, 1.0) or {}
        cells += [end.get(key) for key in at_end]
        cells += [
            row[role].get(name, {}).get(f"{metric}{end}")
            for role, name in sets
            for metric in figures.values()
            for end in ("", "_std")
        ]
        cells += [row.get(key) for key in (*robust, "step_bytes", "seconds_per_epoch", "seconds")]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def results_latex(results: Json) -> str:
    """A booktabs table of the task's figure in per cent, the best of each column in bold.

    Args:
        results: the whole of results.json, of one seed or of several.
    """
    columns = _columns(results)
    headers = ["Method", "Trained", *(header for header, _ in columns), "Memory, MiB", "s/epoch"]
    rows = [[figure(row) for _, figure in columns] for row in results["rows"]]
    best = [max((v for v, _ in column if v is not None), default=None) for column in zip(*rows, strict=True)]
    lines = []
    for row, figures in zip(results["rows"], rows, strict=True):
        cells = [row["method"].translate(_SPECIAL), parameters(row["trained_parameters"]).replace(" ", "~")]
        cells += [
            rf"\textbf{{{text}}}" if value is not None and value == top else text
            for (value, text), top in zip(figures, best, strict=True)
        ]
        memory, time = row.get("step_bytes"), row.get("seconds_per_epoch")
        cells.append("--" if memory is None else f"{memory / 2**20:.0f}")
        cells.append("--" if time is None else f"{time:.1f}")
        lines.append(" & ".join(cells) + r" \\")
    rule = "l" + "r" * (len(headers) - 1)
    title = " & ".join(header.translate(_SPECIAL) for header in headers) + r" \\"
    body = "\n".join(lines)
    return (
        f"% needs \\usepackage{{booktabs}}; {headline_of(results).label} in per cent\n"
        f"\\begin{{tabular}}{{{rule}}}\n\\toprule\n{title}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _level_cells(results: Json, row: Json) -> dict[str, float | None]:
    """Header -> figure of a row at each level; empty where methods were not compared."""
    levels = results.get("levels")
    if levels is None:
        return {}
    of = levels["methods"].get(row["method"])
    cells: dict[str, float | None] = {}
    for number, (fraction, level) in enumerate(zip(levels["fractions"], levels["id"], strict=False)):
        name = f"{100 * fraction:g}"
        figure = {"mean": None, "std": None, "interval": None} if of is None else of["ood"][number]
        interval = figure["interval"] or {"low": None, "high": None}
        cells |= {
            f"id_at_{name}": level,
            f"ood_at_{name}": figure["mean"],
            f"ood_at_{name}_std": figure["std"],
            f"ood_at_{name}_low": interval["low"],
            f"ood_at_{name}_high": interval["high"],
        }
    volume = {"mean": None, "std": None} if of is None else of["hypervolume"]
    return cells | {"hypervolume": volume["mean"], "hypervolume_std": volume["std"]}


_Figure = tuple[float | None, str]
_Column = tuple[str, Callable[[Json], _Figure]]


def _columns(results: Json) -> list[_Column]:
    """Header and the figure of a row: means, those of the metrics beside, and sets."""
    headline, transfer = headline_of(results), _has_transfer(results)
    shifted = any(row["ood_mean"] is not None for row in results["rows"])

    def headline_mean(key: str) -> Callable[[Json], _Figure]:
        return lambda row: _figure(row, key)

    def of_levels(key: str) -> Callable[[Json], _Figure]:
        return lambda row: _figure(_level_cells(results, row), key)

    def mean(role: str, metric: str) -> Callable[[Json], _Figure]:
        return lambda row: _figure({metric: fmean(of[metric] for of in row[role].values())}, metric)

    def of_set(role: str, name: str) -> Callable[[Json], _Figure]:
        return lambda row: _figure(row[role].get(name, {}), headline.metric, most=headline.most)

    columns: list[_Column] = []
    levels = results.get("levels")
    if levels is not None:
        columns += [
            (f"OOD at ID {100 * level:.1f}", of_levels(f"ood_at_{100 * fraction:g}"))
            for fraction, level in zip(levels["fractions"], levels["id"], strict=False)
        ]
        columns.append(("Hypervolume", of_levels("hypervolume")))
    roles = [("id", "ID", "ID")]
    roles += [("ood", "OOD", "OOD mean")] if shifted else []
    roles += [("transfer", "Transfer", "Kept")] if transfer else []
    for role, label, header in roles:
        columns.append((header, headline_mean("kept" if role == "transfer" else f"{role}_mean")))
        columns += [(f"{label} {name}", mean(role, of)) for of, name in BESIDE[task_of(results)].items()]
        if role == "ood" or _several(results, role):
            columns += [(name, of_set(role, name)) for found, name in _sets(results) if found == role]
    return columns + ([("H", headline_mean("harmonic_mean"))] if transfer else [])


def _sets(results: Json) -> list[tuple[str, str]]:
    return [
        (role, name)
        for role in ("id", "ood", "transfer")
        for name in dict.fromkeys(name for row in results["rows"] for name in row.get(role, {}))
    ]


def _has_transfer(results: Json) -> bool:
    return any(role == "transfer" for role, _ in _sets(results))


def _several(results: Json, role: str) -> bool:
    return sum(found == role for found, _ in _sets(results)) > 1


def _figure(of: Any, key: str, *, most: float = 1.0) -> _Figure:
    """Rounded per cent of the largest value and its text, with the spread over seeds where known."""
    value = of.get(key)
    if value is None:
        return None, "--"
    spread = of.get(f"{key}_std")
    shown = round(100 * value / most, 1)
    return shown, f"{shown:.1f}" + ("" if spread is None else rf" $\pm$ {100 * spread / most:.1f}")
