"""Effective and relative robustness of a comparison's rows."""

import csv
import io
import math

import pytest

from radapter.comparison.compare import Compared
from radapter.comparison.over_seeds import robustness
from radapter.errors import ConfigError
from radapter.evaluation import fit_baseline
from radapter.report.study import results_csv, robustness_markdown
from radapter.runs.alpha_sweep import zero_shot_row
from radapter.runs.results import Results, Selection, SweepRow

# logit(OOD) = logit(ID) - ln 3: a standard model at 0.75 has 0.5 under shift, one at 0.5 has 0.25.
STANDARD = fit_baseline([(0.75, 0.5), (0.5, 0.25)])


def results(seed: int, tuned: tuple[float, float | None], base: tuple[float, float | None]) -> Results:
    def point(method: str, accuracies: tuple[float, float | None]) -> SweepRow:
        top1, shifted = accuracies
        ood = {} if shifted is None else {"sketch": {"top1": shifted}}
        return SweepRow.of(method, 0.0, id_val=None, id={"photo": {"top1": top1}}, ood=ood)

    points = [point("zero-shot", base), point("full", tuned)]
    rows = [zero_shot_row(one).model_copy(update={"method": one.method}) for one in points]
    selection = Selection(split=None, rule="nothing was selected", n=0)
    return Results(model="m", fingerprint="f", seeds=[seed], selection=selection, rows=rows, sweep=points)


def test_robustness_worked_by_hand():
    found = robustness([results(0, (0.75, 0.4), (0.5, 0.45))], STANDARD)
    assert found["full"].effective.mean == pytest.approx(0.4 - 0.5)
    assert found["full"].relative.mean == pytest.approx(0.4 - 0.45)
    zero_shot = found["zero-shot"]
    assert (zero_shot.effective.mean, zero_shot.relative.mean) == pytest.approx((0.2, 0.0))
    assert zero_shot.effective.std is None


def test_over_seeds_it_is_the_mean_of_each_seeds_with_its_spread():
    # beta is not linear: the effective robustness of the mean accuracies would be another number
    seeds = [results(0, (0.75, 0.4), (0.5, 0.45)), results(1, (0.5, 0.35), (0.5, 0.25))]
    full = robustness(seeds, STANDARD)["full"]
    assert full.effective.mean == pytest.approx((-0.1 + 0.1) / 2)
    assert full.effective.std == pytest.approx(math.sqrt(2 * 0.1**2))
    assert full.relative.mean == pytest.approx((-0.05 + 0.1) / 2)


def test_results_markdown_and_csv_show_it():
    comparison = Compared({}, [results(0, (0.75, 0.4), (0.5, 0.45))])
    shown = comparison.report(STANDARD)
    assert shown.standard_models == STANDARD
    text = robustness_markdown(shown, STANDARD)
    assert "| full | -10.0 | -5.0 |" in text
    assert "logit(OOD) = 1.000 logit(ID) -1.099" in text
    row = list(csv.DictReader(io.StringIO(results_csv(shown))))[1]
    assert float(row["effective_robustness"]) == pytest.approx(-0.1)
    assert "effective_robustness" not in results_csv(comparison.report())


def test_it_needs_shifted_sets():
    with pytest.raises(ConfigError, match=r"data\.ood"):
        robustness([results(0, (0.75, None), (0.5, None))], STANDARD)
