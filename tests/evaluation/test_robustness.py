"""Effective and relative robustness, after Taori et al. 2020."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radapter.errors import DataError
from radapter.evaluation import (
    effective_robustness,
    fit_baseline,
    read_standard_models,
    relative_robustness,
)


def expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def written(folder, *lines: str):
    path = folder / "standard.csv"
    path.write_text("\n".join(("model,id,ood", *lines)))
    return path


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.05, 0.95))
def test_line_through_models_that_lie_on_it_is_found(slope, intercept, accuracy):
    models = [(expit(x), expit(slope * x + intercept)) for x in (-1.0, 0.0, 1.5)]
    baseline = fit_baseline(models)
    assert (baseline.slope, baseline.intercept) == pytest.approx((slope, intercept), abs=1e-9)
    x = math.log(accuracy / (1 - accuracy))
    assert baseline.at(accuracy) == pytest.approx(expit(slope * x + intercept), abs=1e-9)


def test_effective_robustness_worked_by_hand():
    # logits (0, -1) and (1, 0): ood = id - 1 in logits, so a model at 0.5 is expected at expit(-1) = 0.2689.
    baseline = fit_baseline([(0.5, expit(-1)), (expit(1), 0.5)])
    found = effective_robustness(baseline, id_accuracy=0.5, ood_accuracy=0.4)
    assert found == pytest.approx(0.4 - 0.26894142, abs=1e-8)


def test_relative_robustness_is_what_was_gained():
    assert relative_robustness(tuned=0.5, base=0.625) == -0.125


def test_accuracies_of_0_and_1_are_clipped():
    clipped = fit_baseline([(0.0, 0.0), (1.0, 1.0)])
    assert clipped == fit_baseline([(1e-4, 1e-4), (1 - 1e-4, 1 - 1e-4)])


def test_percent_and_fractions_read_alike(tmp_path):
    fractions = read_standard_models(written(tmp_path, "a,0.5,0.25", "b,0.75,0.5"))
    assert fractions == {"a": (0.5, 0.25), "b": (0.75, 0.5)}
    assert read_standard_models(written(tmp_path, "a,50,25", "b,75,50")) == fractions


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("a,50,0.5", "b,120,1"), r"in \[0, 100\] \(percent.*'b'.*120"),
        (("a,-0.5,0.5",), r"in \[0, 1\] \(fractions"),
        (("a,x,0.5",), "Row 1"),
        (("a,0.5",), "Row 1"),
        (("a,0.5,0.5", "a,0.6,0.6"), "Row 2 .*'a'. Rename"),
    ],
)
def test_wrong_rows_are_named(tmp_path, lines, words):
    with pytest.raises(DataError, match=words):
        read_standard_models(written(tmp_path, *lines))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="gone"):
        read_standard_models(tmp_path / "gone.csv")


@pytest.mark.parametrize("models", [[], [(0.5, 0.5)], [(0.5, 0.5), (0.5, 0.6)]])
def test_a_line_needs_two_accuracies(models):
    with pytest.raises(DataError, match="at least two"):
        fit_baseline(models)


def test_percent_where_a_fraction_belongs_is_refused():
    with pytest.raises(DataError, match="Divide percent by 100"):
        relative_robustness(tuned=50.0, base=0.5)
