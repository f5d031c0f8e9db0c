"""The mean over seeds."""

import math
from pathlib import Path

import pytest

from radapter.comparison.over_seeds import over_seeds
from radapter.errors import ConfigError
from radapter.report.table import results_markdown
from radapter.runs.results import Results, Row, Selection, SweepRow


def _results(seed: int, *, top1: float, alpha: float, model: str = "m") -> Results:
    def figures(value: float) -> dict[str, dict[str, dict[str, float]]]:
        return {"id": {"photo": {"top1": value, "n": 10}}, "ood": {"sketch": {"top1": value / 2, "n": 10}}}

    def point(method: str, at: float, value: float) -> SweepRow:
        return SweepRow.of(method, at, id_val=None, **figures(value))

    def row(method: str, at: float, value: float) -> Row:
        return Row(
            method=method,
            alpha=at,
            alphas=[at],
            selections=[None],
            trained_parameters=5,
            learning_rate=None if at == 0 else 0.1,
            **figures(value),
            id_mean=value,
            ood_mean=value / 2,
            forgetting={},
            seconds=2.0,
        )

    return Results(
        model=model,
        fingerprint=model,
        seeds=[seed],
        selection=Selection(split="id_val", rule="best", n=10),
        rows=[row("zero-shot", 0, 0.5), row("full", 1, top1), row("wise-ft", alpha, top1)],
        sweep=[point("zero-shot", 0, 0.5), point("full", 0, 0.5), point("full", 1, top1)],
    )


def test_rows_hold_mean_and_standard_deviation_over_seeds() -> None:
    merged = over_seeds([_results(0, top1=0.6, alpha=0.5), _results(1, top1=0.8, alpha=0.7)])
    full = merged.rows[1]
    assert math.isclose(full.id_mean, 0.7)
    assert full.spread is not None
    assert math.isclose(full.spread.id_mean, math.sqrt(0.02))
    assert math.isclose(full.spread.ood["sketch"]["top1"], math.sqrt(0.005))
    assert (len(full.alphas), merged.seeds) == (2, [0, 1])


def test_a_summary_is_of_the_same_type_as_its_seeds_and_reads_back(tmp_path: Path) -> None:
    merged = over_seeds([_results(0, top1=0.6, alpha=0.5), _results(1, top1=0.8, alpha=0.7)])
    merged.write(tmp_path)
    assert Results.read(tmp_path) == merged


def test_a_row_has_the_alpha_of_each_seed() -> None:
    merged = over_seeds([_results(0, top1=0.6, alpha=0.5), _results(1, top1=0.8, alpha=0.7)])
    assert merged.rows[2].alphas == [0.5, 0.7]
    assert merged.rows[2].alpha == 0.6


def test_the_table_shows_the_spread() -> None:
    merged = over_seeds([_results(0, top1=0.6, alpha=0.5), _results(1, top1=0.8, alpha=0.7)])
    assert "70.0 ± 14.1" in results_markdown(merged)


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(ConfigError, match="at least two seeds"):
        over_seeds([_results(0, top1=0.6, alpha=0.5)])


def test_results_of_two_models_are_not_averaged() -> None:
    with pytest.raises(ConfigError, match="one model"):
        over_seeds([_results(0, top1=0.6, alpha=0.5), _results(1, top1=0.8, alpha=0.7, model="other")])
