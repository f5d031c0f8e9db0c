"""Metrics of a matrix: by hand, against brute force, against torchmetrics."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import metrics as reference
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
)

from radapter.evaluation.metrics import (
    brier_score,
    classification_metrics,
    expected_calibration_error,
    macro_f1,
    predicted,
)

BY_HAND = torch.tensor(
    [
        [9.0, 1.0, 0.0, 2.0, 3.0, 4.0, 5.0],  # label 0: first
        [9.0, 1.0, 0.0, 2.0, 3.0, 4.0, 5.0],  # label 3: fifth
        [9.0, 1.0, 0.0, 2.0, 3.0, 4.0, 5.0],  # label 2: last
        [0.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0],  # label 0: last
    ]
)


@st.composite
def classified(draw, decimals=1):
    # Few distinct values, so that ties occur.
    samples, classes = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    logits = (
        torch.randn(samples, classes, generator=generator, dtype=torch.float64)
        .mul(2)
        .round(decimals=decimals)
    )
    return logits, torch.randint(classes, (samples,), generator=generator)


@given(classified())
def test_metrics_equal_counting_one_by_one(case):
    logits, labels = case
    rows, truth = logits.tolist(), labels.tolist()
    assert classification_metrics(logits, labels) == {
        "top1": pytest.approx(reference.top_k(rows, truth, 1)),
        "top5": pytest.approx(reference.top_k(rows, truth, 5)),
        "mean_per_class": pytest.approx(reference.mean_per_class(rows, truth)),
        "ece": pytest.approx(reference.expected_calibration_error(rows, truth, 15), abs=1e-9),
        "nll": pytest.approx(reference.negative_log_likelihood(rows, truth)),
        "macro_f1": pytest.approx(reference.macro_f1(rows, truth)),
        "brier": pytest.approx(reference.brier(rows, truth)),
        "n": len(truth),
    }


@given(classified(decimals=9))
def test_metrics_equal_torchmetrics_where_both_mean_the_same(case):
    logits, labels = case
    classes = logits.shape[1]
    if classes < 2:
        return  # torchmetrics wants two classes
    ours = classification_metrics(logits, labels)
    micro = multiclass_accuracy(logits, labels, classes, average="micro")
    assert ours["top1"] == pytest.approx(micro.item(), abs=1e-6)
    ece = multiclass_calibration_error(logits, labels, classes, n_bins=15)
    assert ours["ece"] == pytest.approx(ece.item(), abs=1e-6)  # torchmetrics sums in float32
    present = labels.unique()
    per_class = multiclass_accuracy(logits, labels, classes, average=None)[present]
    assert ours["mean_per_class"] == pytest.approx(per_class.mean().item(), abs=1e-6)


@given(classified(), st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(case, random):
    logits, labels = case
    order = list(range(len(labels)))
    random.shuffle(order)
    assert classification_metrics(logits[order], labels[order]) == pytest.approx(
        classification_metrics(logits, labels), abs=1e-12
    )


def test_top1_and_top5_worked_by_hand():
    metrics = classification_metrics(BY_HAND, torch.tensor([0, 3, 2, 0]))
    assert (metrics["top1"], metrics["top5"], metrics["n"]) == (0.25, 0.5, 4)


def test_mean_per_class_counts_each_present_class_once():
    # Class 0: one of two right. Classes 2 and 3: none. The other four do not occur.
    metrics = classification_metrics(BY_HAND, torch.tensor([0, 3, 2, 0]))
    assert metrics["mean_per_class"] == pytest.approx(0.5 / 3)


def test_top5_of_fewer_classes_is_top_c():
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert classification_metrics(logits, torch.tensor([2, 0]))["top5"] == 1.0


def test_a_tie_goes_to_the_lower_class():
    assert classification_metrics(torch.zeros(2, 3), torch.tensor([0, 1]))["top1"] == 0.5
    assert classification_metrics(torch.zeros(2, 7), torch.tensor([4, 5]))["top5"] == 0.5


def test_calibration_error_worked_by_hand():
    # Four answers at confidence 0.75, one of them wrong: calibrated. All right: off by 0.25.
    logits = torch.tensor([0.75, 0.25], dtype=torch.float64).log().expand(4, 2)
    assert expected_calibration_error(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(logits, torch.tensor([0, 0, 0, 0])) == pytest.approx(0.25)


def test_saturated_confidences_share_the_last_bin():
    # 0.99 and right, 1.0 and wrong: accuracy 0.5 at confidence 0.995. In two bins it would be 0.505.
    nearly = torch.tensor([0.99, 0.01], dtype=torch.float64).log()
    logits = torch.stack([nearly, torch.tensor([1000.0, 0.0], dtype=torch.float64)])
    assert expected_calibration_error(logits, torch.tensor([0, 1])) == pytest.approx(0.495)


@given(classified(), st.integers(0, 10_000))
def test_worst_group_equals_counting_one_by_one(case, seed):
    logits, labels = case
    groups = torch.randint(-1, 3, labels.shape, generator=torch.Generator().manual_seed(seed))
    expected = reference.worst_group(logits.tolist(), labels.tolist(), groups.tolist())
    assert classification_metrics(logits, labels, groups=groups)["worst_group"] == pytest.approx(expected)


def worst_group(logits, labels, groups):
    return classification_metrics(logits, labels, groups=torch.tensor(groups))["worst_group"]


def test_worst_group_worked_by_hand():
    # Right, wrong, wrong, wrong.
    labels = torch.tensor([0, 3, 2, 0])
    assert worst_group(BY_HAND, labels, [7, 7, 7, 7]) == 0.25
    assert worst_group(BY_HAND[:2], labels[:2], [1, 1]) == 0.5
    assert worst_group(BY_HAND, labels, [7, 7, 2, 2]) == 0.0
    with pytest.raises(ValueError, match=r"groups must be \(N,\)"):
        worst_group(BY_HAND, labels, [7])


def test_macro_f1_worked_by_hand():
    # Predicted 0, 0, 0, 1 for labels 0, 3, 2, 0. Class 0: 2 * 1 / (2 + 3). Classes 2 and 3: never predicted, 0.
    assert macro_f1(BY_HAND, torch.tensor([0, 3, 2, 0])) == pytest.approx(0.4 / 3)


def test_brier_score_worked_by_hand():
    logits = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    assert brier_score(logits, torch.tensor([0])) == pytest.approx(2 * 0.25**2)
    assert brier_score(logits, torch.tensor([1])) == pytest.approx(2 * 0.75**2)
    assert brier_score(torch.tensor([[1000.0, 0.0]]), torch.tensor([1])) == 2


@pytest.mark.parametrize(("before", "share"), [(BY_HAND.flip(1), 0), (BY_HAND[[0, 1, 3, 2]], 0.5)])
def test_agreement_counts_equal_answers_right_or_wrong(before, share):
    found = classification_metrics(BY_HAND, torch.tensor([0, 3, 2, 0]), zero_shot=predicted(before))
    assert found["agreement"] == share


def test_agreement_stands_beside_the_metrics_where_the_zero_shot_predictions_are_known():
    labels, before = torch.tensor([0, 3, 2, 0]), BY_HAND[[0, 1, 3, 2]]
    found = classification_metrics(BY_HAND, labels, zero_shot=predicted(before))
    assert found["agreement"] == 0.5
    assert "agreement" not in classification_metrics(BY_HAND, labels)


@pytest.mark.parametrize("classes", [[4, 1, 0], [[4, 5], [1, 1], [0, 6]]])
def test_agreement_is_among_the_classes_of_the_set(classes):
    columns, before = torch.tensor(classes), BY_HAND.flip(1)
    kept = [logits[:, columns] for logits in (BY_HAND, before)]
    kept = [logits if logits.ndim == 2 else logits.amax(2) for logits in kept]
    found = classification_metrics(
        BY_HAND, torch.tensor([0, 1, 4, 0]), classes=columns, zero_shot=predicted(before, columns)
    )
    now, then = (logits.argmax(1) for logits in kept)
    assert found["agreement"] == (now == then).double().mean()


def test_a_class_with_several_columns_scores_as_its_best_one():
    # Columns 1 and 2 are one class, 0 another; 3 is left out.
    logits = torch.tensor([[2.0, 1.0, 3.0, 9.0], [2.0, 1.0, 0.0, 9.0]])
    classes = torch.tensor([[0, 0], [1, 2]])
    merged = classification_metrics(logits, torch.tensor([1, 2]), classes=classes)
    assert merged == classification_metrics(torch.tensor([[2.0, 3.0], [2.0, 1.0]]), torch.tensor([1, 1]))


def test_classes_leave_the_other_columns_out():
    logits = torch.tensor([[9.0, 1.0, 2.0], [9.0, 2.0, 1.0]])
    classes, labels = torch.tensor([2, 1]), torch.tensor([2, 1])
    assert classification_metrics(logits, labels)["top1"] == 0.0
    restricted = classification_metrics(logits, labels, classes=classes)
    assert restricted == classification_metrics(logits[:, [2, 1]], torch.tensor([0, 1]))
    assert restricted["top1"] == 1.0


@given(classified())
def test_keeping_all_classes_changes_nothing(case):
    logits, labels = case
    every = torch.arange(logits.shape[1])
    assert classification_metrics(logits, labels, classes=every) == classification_metrics(logits, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_counted_in_float32(dtype):
    logits = torch.tensor([[100.0, 0.0]], dtype=dtype)
    assert classification_metrics(logits, torch.tensor([1]))["nll"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "words"),
    [
        (torch.zeros(0, 3), [], None, r"logits must be \(N, C\) .* Got \(0, 3\)"),
        (torch.zeros(2, 3), [0], None, r"labels must be \(N,\) = \(2,\)"),
        (torch.zeros(2, 3), [0, 3], None, "one of the 3 classes. 1 are not, the first in row 1"),
        (torch.zeros(2, 3), [0, -1], None, "one of the 3 classes"),
        (torch.zeros(2, 3), [0, 1], [0, 2], "one of the 2 classes. 1 are not, the first in row 1"),
        (torch.full((2, 3), torch.nan), [0, 1], None, "logits must be finite. 2 of 2 rows are not"),
    ],
)
def test_wrong_input_is_named(logits, labels, classes, words):
    columns = None if classes is None else torch.tensor(classes)
    with pytest.raises(ValueError, match=words):
        classification_metrics(logits, torch.tensor(labels, dtype=torch.long), classes=columns)
