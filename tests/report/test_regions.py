"""Segmentation's tables from results.json alone."""

import io

import pytest
from rich.console import Console

from radapter.report import beside_table, details_markdown, results_markdown
from radapter.report.paper import results_csv
from radapter.runs.results import Results

typed = Results.model_validate


def metrics(miou: float, **more: float) -> dict[str, float]:
    return {
        "miou": miou, "miou_ovseg": miou - 0.1, "true_masks_miou": miou + 0.2, "true_classes_miou": 0.9,
        "pixel_accuracy": 0.7, "region_top1": 0.8, "iou/sky": 0.6, "n": 10, "regions": 1234, "classes": 2, **more,
    }  # fmt: skip


def point(method: str, alpha: float, miou: float) -> dict[str, object]:
    return {
        "method": method, "alpha": alpha, "id": {"photo": metrics(miou)},
        "ood": {"fog": metrics(miou / 2, miou_unseen=0.25)}, "transfer": {}, "id_mean": miou, "ood_mean": miou / 2,
    }  # fmt: skip


def row(method: str, alpha: float, miou: float) -> dict[str, object]:
    return {
        **point(method, alpha, miou), "alphas": [alpha], "selections": [None], "trained_parameters": 10,
        "learning_rate": None, "forgetting": {}, "seconds": 1.0,
    }  # fmt: skip


@pytest.fixture
def results() -> dict[str, object]:
    """Zero-shot and R-Adapter at alpha 0.2, one ID and one OOD set."""
    curve = [("zero-shot", 0.0, 0.4), ("r-adapter", 0.2, 0.5), ("r-adapter", 0.4, 0.45)]
    return {
        "schema": 3, "model": "m", "fingerprint": "f", "task": "segmentation", "seeds": [0],
        "selection": {"split": "id_val", "rule": "a rule", "n": 10}, "rows": [row(*at) for at in curve[:2]],
        "sweep": [point(*at) | {"id_val": None} for at in curve],
    }  # fmt: skip


def test_a_table_a_set_has_a_row_for_each_oracle_and_names_both_conventions(results):
    page = details_markdown(typed(results))
    assert "`photo`, in distribution: mIoU in %, in detectron2's convention" in page
    assert (
        "in OVSeg's (absent but predicted classes count as 0); 10 images, 1,234 proposals, 2 classes." in page
    )
    assert "| r-adapter | 0.2 | 50.0 | 40.0 | 70.0 | 80.0 |" in page
    assert "| r-adapter, true masks | 0.2 | 70.0 |  |  | 80.0 |" in page
    assert "| *r-adapter* | *0.4* | *45.0* |" in page
    assert page.count("| proposals, true classes |  | 90.0 |") == 2


def test_what_a_set_lacks_has_no_column(results):
    of_photo, of_fog = details_markdown(typed(results)).split("`fog`, out of distribution: mIoU")[:2]
    assert "left out" not in of_photo
    assert "left out" in of_fog


def test_classes_stand_below_each_other(results):
    assert "| Class | zero-shot | r-adapter |" in details_markdown(typed(results))
    assert "| sky | 60.0 | 60.0 |" in details_markdown(typed(results))


def test_the_terminal_has_the_means_of_the_oracles(results):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(beside_table(typed(results)))
    text = console.export_text()
    assert "r-adapter, true masks" in text
    assert [line.split()[-2:] for line in text.splitlines() if "true classes" in line] == [["90.0", "90.0"]]
    assert beside_table(typed(results).model_copy(update={"task": "retrieval"})) is None


def test_the_main_table_names_the_convention_and_the_csv_has_the_oracles(results):
    assert results_markdown(typed(results)).startswith("mIoU in %, detectron2's convention")
    assert "ood:fog:true_classes_miou" in results_csv(typed(results)).splitlines()[0]
