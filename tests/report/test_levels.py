"""The table of a comparison: OOD at fixed ID levels first, in the terminal, Markdown, CSV, LaTeX."""

import csv
import io

import pytest
from rich.console import Console

from radapter.report.levels import differences_markdown, levels_markdown, levels_table
from radapter.report.paper import results_csv, results_latex
from radapter.runs.results import Results

typed = Results.model_validate


def figure(each, interval=None, mean=True):
    known = [value for value in each if value is not None]
    return {
        "each": each,
        "mean": sum(known) / len(known) if known and mean else None,
        "std": 0.01 if len(known) > 1 else None,
        "interval": interval and dict(zip(("low", "high"), interval, strict=True)),
    }


@pytest.fixture
def compared(results):
    """Full fine-tuning, WiSE-FT and R-Adapter at four levels, two seeds."""
    nothing = figure([None, None])
    of = {
        "full": [figure([0.5, 0.5], (0.45, 0.55))] * 4,
        "wise-ft": [figure([0.62, 0.64], (0.6, 0.66)), figure([0.6, 0.6]), figure([0.56, 0.56]), nothing],
        "r-adapter": [figure([0.66, 0.68]), figure([None, 0.65]), figure([None, 0.6], mean=False), nothing],
    }
    results["levels"] = {
        "fractions": [0.25, 0.5, 0.75, 0.9],
        "id": [0.65, 0.7, 0.75, 0.78],
        "zero_shot_id": 0.6,
        "best": "full",
        "best_id": 0.8,
        "reference": [0.6, 0.4],
        "resamples": 1000,
        "against": "wise-ft",
        "methods": {
            name: {
                "ood": ood,
                "difference": None if name == "wise-ft" else [figure([0.03, 0.05], (0.01, None)), *ood[1:]],
                "hypervolume": figure([0.2, 0.22]),
            }
            for name, ood in of.items()
        },
    }
    return results


def printed(results):
    console = Console(width=80, file=io.StringIO())
    console.print(levels_table(typed(results)))
    return console.file.getvalue()


def row(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_levels_come_before_the_chosen_alpha_and_show_spread_and_interval(compared):
    text = levels_markdown(typed(compared))
    header = row(text, "Method")
    assert header[:6] == [
        "Method",
        "Alpha",
        *(f"OOD at ID {level}" for level in ("65.0", "70.0", "75.0", "78.0")),
    ]
    assert row(text, "wise-ft")[2] == "63.0 ± 1.0 [60.0, 66.0]"
    assert row(text, "zero-shot")[1:3] == ["", ""]


def test_not_reached_is_said_and_so_is_the_number_of_seeds(compared):
    assert row(levels_markdown(typed(compared)), "r-adapter")[2:6] == [
        "**67.0 ± 1.0**",
        "**65.0 (1 of 2)**",
        "not reached",
        "not reached",
    ]


def test_alpha_1_and_what_was_kept_stand_beside(compared):
    for entry in compared["rows"] + compared["sweep"]:
        entry |= {"transfer": {"colour": {"top1": 0.9}}, "kept": 0.9 - 0.2 * entry["alpha"]}
    text = levels_markdown(typed(compared))
    assert row(text, "Method")[-5:] == ["ID", "OOD", "Kept", "Alpha 1: ID / OOD / Kept", "Trained"]
    assert row(text, "r-adapter")[-5:-1] == ["70.5", "60.3", "76.0", "75.0 / 58.0 / 70.0"]


def test_without_transfer_sets_it_says_that_nothing_was_kept_count_of(compared):
    text = levels_markdown(typed(compared))
    assert "Kept" not in row(text, "Method")
    assert "Kept: not measured; no transfer sets were given (data.transfer)." in text


def test_the_terminal_table_has_80_columns_and_the_absolute_levels(compared):
    for entry in compared["rows"] + compared["sweep"]:
        entry |= {"transfer": {"colour": {"top1": 0.9}}, "kept": 0.9}
    text = printed(compared)
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"@{level}" in text for level in ("65.0", "70.0", "75.0", "78.0"))
    assert "-: not reached." in text
    assert "…" not in text


def test_the_levels_are_explained_by_their_absolute_ids(compared):
    text = levels_markdown(typed(compared))
    assert (
        "zero-shot ID (60.0) plus 25, 50, 75 and 90 % of the best ID gain among full, wise-ft, flyp" in text
    )
    assert "(full, 80.0)" in text
    assert "95 % interval of a paired bootstrap over test images (1,000 resamples)" in text
    assert "reference point (60.0, 40.0)" in text


def test_where_nobody_gains_there_is_no_level_and_that_is_said(compared):
    compared["levels"]["id"] = []
    for of in compared["levels"]["methods"].values():
        of |= {"ood": [], "difference": None}
    assert "there are none, since no method gains top-1 over zero-shot ID (60.0)" in levels_markdown(
        typed(compared)
    )
    assert differences_markdown(typed(compared)) == ""
    assert "OOD at" not in results_latex(typed({**compared, "rows": compared["rows"][1:]}))


def test_differences_are_signed_with_open_ends(compared):
    assert row(differences_markdown(typed(compared)), "full")[1] == "+4.0 ± 1.0 [+1.0, open]"
    assert "| wise-ft |" not in differences_markdown(typed(compared))


def test_csv_has_levels_intervals_hypervolume_and_alpha_1(compared):
    rows = {line["method"]: line for line in csv.DictReader(io.StringIO(results_csv(typed(compared))))}
    wise_ft, adapted = rows["wise-ft"], rows["r-adapter"]
    assert [float(wise_ft[key]) for key in ("id_at_25", "ood_at_25", "ood_at_25_low")] == [0.65, 0.63, 0.6]
    assert (adapted["ood_at_75"], float(adapted["hypervolume"])) == ("", pytest.approx(0.21))
    assert float(adapted["ood_mean_at_1"]) == pytest.approx(0.58)


def test_latex_leads_with_the_levels(compared):
    title = results_latex(typed(compared)).splitlines()[3]
    assert title.startswith("Method & Trained & OOD at ID 65.0 & OOD at ID 70.0 & OOD at ID 75.0")
