"""The table in the layout of the paper, for other programs and for papers: CSV and LaTeX.

Columns: method, trained parameters, ID mean, each ID set where there are several, OOD mean, each OOD set, memory of
a step, time per epoch. CSV has the plain figures, fractions and seconds and bytes; LaTeX has what people read.
"""

import csv
import io
from typing import Any

from radapter.report.curves import Json
from radapter.report.table import parameters

_SPECIAL = str.maketrans({"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$"})


def results_csv(results: Json) -> str:
    """One line a method: accuracies as fractions with their standard deviations over seeds, seconds, bytes.

    Where the results have a line of standard models, effective and relative robustness stand beside.

    Args:
        results: the whole of results.json, of one seed or of several.
    """
    sets = _sets(results)
    headers = ["method", "alpha", "seeds", "learning_rate", "trained_parameters", "id_mean", "id_mean_std"]
    headers += ["ood_mean", "ood_mean_std"]
    headers += [f"{role}:{name}{part}" for role, name in sets for part in ("", "_std")]
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
    for row in results["rows"]:
        cells = [
            row["method"],
            row["alpha"],
            row.get("seeds", 1),
            row["learning_rate"],
            row["trained_parameters"],
        ]
        cells += [row.get(key) for key in ("id_mean", "id_mean_std", "ood_mean", "ood_mean_std")]
        cells += [row[role].get(name, {}).get(key) for role, name in sets for key in ("top1", "top1_std")]
        cells += [row.get(key) for key in (*robust, "step_bytes", "seconds_per_epoch", "seconds")]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def results_latex(results: Json) -> str:
    """A booktabs table of top-1 in per cent, the best of each column in bold.

    Args:
        results: the whole of results.json, of one seed or of several.
    """
    sets = [(role, name) for role, name in _sets(results) if role == "ood" or _several(results, "id")]
    ids = [pair for pair in sets if pair[0] == "id"]
    oods = [pair for pair in sets if pair[0] == "ood"]
    shifted = any(row["ood_mean"] is not None for row in results["rows"])
    headers = ["Method", "Trained", "ID", *(name for _, name in ids)]
    headers += ["OOD mean", *(name for _, name in oods)] if shifted else []
    headers += ["Memory, MiB", "s/epoch"]
    rows = []
    for row in results["rows"]:
        figures = [_figure(row, "id_mean"), *(_figure(row["id"].get(n, {}), "top1") for _, n in ids)]
        if shifted:
            figures += [_figure(row, "ood_mean"), *(_figure(row["ood"].get(n, {}), "top1") for _, n in oods)]
        rows.append(figures)
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
        "% needs \\usepackage{booktabs}; top-1 accuracy in per cent\n"
        f"\\begin{{tabular}}{{{rule}}}\n\\toprule\n{title}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _sets(results: Json) -> list[tuple[str, str]]:
    return [
        (role, name)
        for role in ("id", "ood")
        for name in dict.fromkeys(name for row in results["rows"] for name in row[role])
    ]


def _several(results: Json, role: str) -> bool:
    return sum(found == role for found, _ in _sets(results)) > 1


def _figure(of: Any, key: str) -> tuple[float | None, str]:
    """Rounded per cent and its text, with the spread over seeds where known."""
    value = of.get(key)
    if value is None:
        return None, "--"
    spread = of.get(f"{key}_std")
    shown = round(100 * value, 1)
    return shown, f"{shown:.1f}" + ("" if spread is None else rf" $\pm$ {100 * spread:.1f}")
