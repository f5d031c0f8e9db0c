"""Retrieval's tables: rsum / 6 as the figure, the paper's 0.8 beside, recalls set by set."""

import csv
import io

import pytest

from radapter.report import details_markdown, results_markdown
from radapter.report.paper import results_csv, results_latex
from radapter.report.table import grid
from radapter.runs.results import Results

typed = Results.model_validate
RECALLS = ("i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")


def metrics(first):
    """Recalls 0.05 apart."""
    recalls = {name: first + 0.05 * place for place, name in enumerate(RECALLS)}
    return {**recalls, "rsum": sum(recalls.values()), "t2i_mean_rank": 3.25, "n": 1000, "texts": 5000}


def point(alpha):
    photo, grey, other = (metrics(first + 0.1 * alpha) for first in (0.5, 0.4, 0.3))
    means = {"id_mean": photo["rsum"] / 6, "ood_mean": (grey["rsum"] + other["rsum"]) / 12}
    return {
        "method": "r-adapter",
        "alpha": alpha,
        "id_val": photo,
        "id": {"photo": photo},
        "ood": {"grey": grey, "other": other},
        **means,
    }


def row(name, alpha):
    kept = {key: value for key, value in point(alpha).items() if key != "id_val"}
    seed = {"alphas": [alpha], "selections": [None], "forgetting": {}}
    return {**kept, **seed, "method": name, "trained_parameters": 950, "learning_rate": 0.01, "seconds": 5.0}


@pytest.fixture
def results():
    return {
        "schema": 3,
        "model": "world:tiny",
        "fingerprint": "f",
        "task": "retrieval",
        "seeds": [0],
        "selection": {"split": "id_val", "rule": "the best", "n": 300},
        "rows": [row("zero-shot", 0.0), row("r-adapter", 0.5)],
        "sweep": [point(step / 10) for step in range(11)],
    }


def cells(results, **options):
    whole = grid(typed(results), **options)
    return {
        (line.cells[0], line.beside): dict(zip(whole.headers, line.cells, strict=True))
        for line in whole.lines
    }


def test_the_figure_is_the_mean_of_six_recalls_with_recall_at_1_beside(results):
    assert cells(results)["r-adapter", False] == {
        "Method": "r-adapter",
        "Alpha": "0.5",
        "Trained": "950",
        "ID": "67.5",
        "OOD mean": "52.5",
        "vs zero-shot": "+5.0",
        "ID I2T R@1": "55.0",
        "ID T2I R@1": "70.0",
        "OOD I2T R@1": "40.0",
        "OOD T2I R@1": "55.0",
        "grey": "57.5",
        "other": "47.5",
        "Time": "5 s",
    }


def test_the_papers_alpha_of_retrieval_stands_beside(results):
    beside = [line.cells for line in grid(typed(results)).lines if line.beside]
    assert [(cells[1], cells[3]) for cells in beside] == [("0.8", "70.5"), ("1", "72.5")]
    assert "In italics: the paper's alpha, 0.8 and alpha 1, the fine-tuned model." in results_markdown(
        typed(results)
    )


def test_a_rank_is_shown_as_it_is(results):
    assert cells(results, metric="t2i_mean_rank")["zero-shot", False]["OOD mean"] == "3.2"
    assert "OOD I2T R@1" not in grid(typed(results), metric="t2i_mean_rank").headers


def test_each_set_has_its_recalls_and_their_sum_times_100(results):
    text = details_markdown(typed(results))
    assert "`photo`, in distribution: recalls in %, rsum their sum; 1,000 images, 5,000 captions." in text
    assert "| zero-shot | - | 50.0 | 55.0 | 60.0 | 65.0 | 70.0 | 75.0 | 375.0 |" in text
    assert "| *r-adapter* | *0.8* | *58.0* | *63.0* | *68.0* | *73.0* | *78.0* | *83.0* | *423.0* |" in text
    assert text.count("| Method |") == 3


def test_the_spread_over_seeds_stands_beside_a_recall(results):
    results["rows"][0]["spread"] = {
        "id": {"photo": {"i2t_r1": 0.012}},
        "ood": {},
        "id_mean": 0.01,
        "ood_mean": 0.01,
    }
    assert "| zero-shot | - | 50.0 ± 1.2 | 55.0 |" in details_markdown(typed(results))


def test_other_tasks_have_no_recalls(results):
    assert details_markdown(typed(results).model_copy(update={"task": "classification"})) == ""


def test_csv_has_every_recall_as_a_fraction_and_rsum_as_the_sum(results):
    (_, adapted) = csv.DictReader(io.StringIO(results_csv(typed(results))))
    assert float(adapted["ood:grey:t2i_r1"]) == pytest.approx(0.6)
    assert float(adapted["ood:grey"]) == pytest.approx(6 * 0.575)
    assert float(adapted["id_mean"]) == pytest.approx(0.675)


def test_latex_has_means_and_sets_in_per_cent(results):
    lines = results_latex(typed(results)).splitlines()
    assert "rsum / 6 in per cent" in lines[0]
    assert r"ID & ID I2T R@1 & ID T2I R@1 & OOD mean & OOD I2T R@1 & OOD T2I R@1 & grey & other" in lines[3]
    assert r"r-adapter & 950 & \textbf{67.5} & \textbf{55.0} & \textbf{70.0} & \textbf{52.5}" in lines[6]
