"""The table: what stands in each cell, and its two dresses."""

import io

import pytest
from rich.console import Console

from radapter.report.cells import curves
from radapter.report.table import (
    duration,
    grid,
    kept_note,
    parameters,
    results_markdown,
    results_table,
)
from radapter.runs.results import Results

typed = Results.model_validate


def cells(results, **options):
    """Header -> text, per (method, beside)."""
    whole = grid(typed(results), **options)
    return {
        (line.cells[0], line.beside): dict(zip(whole.headers, line.cells, strict=True))
        for line in whole.lines
    }


def best(results, header, **options):
    whole = grid(typed(results), **options)
    column = whole.headers.index(header)
    return [line.cells[0] for line in whole.lines if column in line.best]


def test_a_row_shows_method_alpha_size_accuracies_and_time(results):
    assert cells(results)["r-adapter", False] == {
        "Method": "r-adapter",
        "Alpha": "0.7",
        "Trained": "20.5 M",
        "ID": "70.5",
        "OOD mean": "60.3",
        "vs zero-shot": "+0.3",
        "sketch": "65.3",
        "neon": "55.3",
        "ID ECE": "5.9",
        "Time": "2.0 h",
    }


def test_alpha_1_stands_beside_a_row_at_another_alpha(results):
    table = cells(results)
    assert {key for key in table if key[1]} == {("wise-ft", True), ("r-adapter", True)}
    assert (table["wise-ft", True]["Alpha"], table["wise-ft", True]["ID"]) == ("1", "80.0")
    results["rows"][3]["alpha"] = 1.0
    assert ("r-adapter", True) not in cells(results)


def test_a_single_method_has_the_papers_alpha_beside_too(results):
    results["rows"] = [results["rows"][0], results["rows"][3]]
    lines = [line.cells[:2] for line in grid(typed(results)).lines if line.beside]
    assert lines == [("r-adapter", "0.5"), ("r-adapter", "1")]
    assert "In italics: the paper's alpha, 0.5 and alpha 1" in results_markdown(typed(results))


def test_a_row_at_the_papers_alpha_is_not_shown_twice(results):
    results["rows"] = [results["rows"][0], {**results["rows"][3], "alpha": 0.5}]
    assert [line.cells[1] for line in grid(typed(results)).lines if line.beside] == ["1"]


def test_what_was_kept_stands_after_id_and_ood(results):
    for row in results["rows"] + results["sweep"]:
        row |= {
            "transfer": {"colour": {"top1": 0.9}, "pattern": {"top1": 0.5}},
            "kept": 0.7,
            "harmonic_mean": 0.6,
        }
    assert grid(typed(results)).headers[:7] == (
        "Method",
        "Alpha",
        "Trained",
        "ID",
        "OOD mean",
        "vs zero-shot",
        "Kept",
    )
    assert cells(results)["r-adapter", False]["Kept"] == "70.0"
    assert (
        "Kept: zero-shot top-1 on classes that were not trained on, the mean of 2 sets (colour, pattern)."
        in results_markdown(typed(results))
    )
    assert all(len(line) <= 80 for line in printed(results, 80).splitlines())


def test_without_transfer_sets_the_table_says_that_nothing_was_measured(results):
    assert "Kept: not measured; no transfer sets were given (data.transfer)." in results_markdown(
        typed(results)
    )
    assert "retrieval has no transfer sets" in kept_note(
        typed(results).model_copy(update={"task": "retrieval"})
    )


def test_wise_ft_stands_on_the_curve_of_full(results):
    full, r_adapter = curves(typed(results))
    assert [row.method for row in full.rows] == ["full", "wise-ft"]
    assert [row.method for row in r_adapter.rows] == ["r-adapter"]


def test_one_curve_under_two_names_is_one_curve(results):
    results["sweep"] += [dict(p, method="wise-ft") for p in results["sweep"] if p["method"] == "full"]
    assert [[row.method for row in curve.rows] for curve in curves(typed(results))] == [
        ["full", "wise-ft"],
        ["r-adapter"],
    ]


def test_the_best_of_a_column_is_marked_and_other_alphas_do_not_compete(results):
    assert best(results, "ID") == ["full"]
    assert best(results, "OOD mean") == ["r-adapter"]
    assert best(results, "Time") == best(results, "Trained") == []


def test_what_looks_equal_is_equally_best(results):
    results["rows"][3]["ood_mean"] = results["rows"][0]["ood_mean"] + 0.0004
    results["rows"][2]["ood_mean"] = 0.5
    assert best(results, "OOD mean") == ["zero-shot", "r-adapter"]


@pytest.mark.parametrize("metric", ["ece", "nll"])
def test_of_an_error_the_lowest_is_best(results, metric):
    assert best(results, "ID", metric=metric) == ["full"]


def test_another_metric_is_averaged_over_its_sets(results):
    assert cells(results, metric="nll")["zero-shot", False]["OOD mean"] == "1.40"
    assert cells(results, metric="top5")["zero-shot", False]["OOD mean"] == "100.0"


def test_several_seeds_show_their_spread(results):
    results["seeds"] = [7, 8, 9]
    for row in results["rows"]:
        row |= {"alphas": [row["alpha"]] * 3, "selections": [None] * 3}
    results["rows"][1]["spread"] = {"id": {}, "ood": {}, "id_mean": 0.004, "ood_mean": 0.0125}
    row = cells(results)["full", False]
    assert (row["ID"], row["OOD mean"]) == ("80.0 ± 0.4", "50.0 ± 1.2")
    assert "3 seeds, mean ± standard deviation" in results_markdown(typed(results))


def test_without_ood_sets_there_is_no_ood_column(results):
    for row in results["rows"] + results["sweep"]:
        row |= {"ood": {}, "ood_mean": None}
    assert grid(typed(results)).headers == ("Method", "Alpha", "Trained", "ID", "ID ECE", "Time")


def test_markdown_is_aligned_with_the_best_in_bold(results):
    lines = results_markdown(typed(results)).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    assert "| **80.0** |" in next(line for line in table if line.startswith("| full"))
    assert any(line.startswith("| *wise-ft*") for line in table)
    assert "Seed 7; smallest alpha within one standard error (id_val, n = 1,400)." in lines[-1]


def printed(results, width):
    console = Console(width=width, file=io.StringIO())
    console.print(results_table(typed(results), width=width))
    return console.file.getvalue()


def test_terminal_table_has_every_cell_of_the_grid(results):
    text = printed(results, 200)
    for line in grid(typed(results)).lines:
        assert all(cell in text for cell in line.cells)


def test_a_narrow_terminal_gets_whole_columns_and_a_note(results):
    text = printed(results, 80)
    assert "sketch" not in text
    assert "3 more columns" in text
    assert "OOD mean" in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (164_864, "165 k"),
        (999_600, "1.00 M"),
        (20_453_376, "20.5 M"),
        (428_000_000, "428 M"),
        (1_200_000_000, "1.20 B"),
    ],
)
def test_parameters_as_people_say_them(count, text):
    assert parameters(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "-"), (0.4, "< 1 s"), (41.2, "41 s"), (750, "12 min"), (7300, "2.0 h")]
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text
