"""mIoU and its kin: by hand, against sets of pixels, against torchmetrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import confusion_of_share
from processes.start import start
from reference import segmentation as reference
from torchmetrics.classification import MulticlassConfusionMatrix

from radapter.data import IGNORE
from radapter.errors import ConfigError, DataError
from radapter.evaluation.miou import (
    CONVENTIONS,
    class_accuracy,
    class_iou,
    confusion_matrix,
    frequency_weighted_iou,
    marginals,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
    seen_unseen_iou,
    segmentation_metrics,
)

# Four classes, 16 pixels, two of them ignored. Class 2 is absent and predicted twice (once where ignored), class 3
# is absent and never predicted.
TRUTH = torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 1, -1, -1]])
GUESS = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 1, 0], [2, 1, 2, 0]])
BY_HAND = torch.tensor([[5, 1, 0, 0], [1, 6, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def counted(prediction, truth, classes=4):
    return confusion_matrix(prediction, truth, classes)


def test_rows_are_the_truth_and_ignored_pixels_are_not_counted():
    counts = counted(GUESS, TRUTH)
    assert counts[:, :4].tolist() == BY_HAND.tolist()
    assert counts[:, 4].tolist() == [0, 0, 0, 0]


def test_by_hand():
    iou = class_iou(BY_HAND)
    # class 0: 5 / (6 + 6 - 5); class 1: 6 / (8 + 7 - 6)
    assert iou[:2].tolist() == [5 / 7, 6 / 9]
    assert iou[2:].isnan().all()
    assert mean_iou(BY_HAND) == pytest.approx((5 / 7 + 6 / 9) / 2, abs=1e-15)
    assert mean_iou(BY_HAND, convention="ovseg") == pytest.approx((5 / 7 + 6 / 9 + 0) / 3, abs=1e-15)
    assert frequency_weighted_iou(BY_HAND) == pytest.approx(6 / 14 * 5 / 7 + 8 / 14 * 6 / 9, abs=1e-15)
    assert mean_accuracy(BY_HAND) == pytest.approx((5 / 6 + 6 / 8) / 2, abs=1e-15)
    assert pixel_accuracy(BY_HAND) == 11 / 14


def test_every_figure_stands_in_the_metrics():
    metrics = segmentation_metrics(counted(GUESS, TRUTH))
    assert metrics == {
        "miou": mean_iou(BY_HAND),
        "miou_ovseg": mean_iou(BY_HAND, convention="ovseg"),
        "fwiou": frequency_weighted_iou(BY_HAND),
        "mean_accuracy": mean_accuracy(BY_HAND),
        "pixel_accuracy": 11 / 14,
        "pixel_error": 1 - 11 / 14,
        "unlabelled": 0.0,
        "classes": 2,
        "pixels": 14,
    }


@st.composite
def images(draw, least=1):
    """A few images of few pixels, so that classes are absent, and now and then all of a truth is ignored."""
    classes, count = draw(st.integers(least, 5)), draw(st.integers(1, 3))
    pairs = []
    for _ in range(count):
        size = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
        prediction, truth = (torch.randint(IGNORE, classes, size, generator=generator) for _ in range(2))
        pairs.append((prediction, truth))
    return classes, pairs


@given(images(), st.sampled_from(CONVENTIONS))
def test_metrics_equal_counting_sets_of_pixels(case, convention):
    classes, pairs = case
    confusion = sum(confusion_matrix(guess, truth, classes) for guess, truth in pairs)
    if not confusion.sum():
        with pytest.raises(DataError, match="Every pixel of it is ignored"):
            mean_iou(confusion, convention=convention)
        return
    lists = [(guess.tolist(), truth.tolist()) for guess, truth in pairs]
    expected = reference.class_iou(lists, classes, IGNORE, convention)
    assert class_iou(confusion, convention=convention).tolist() == pytest.approx(expected, nan_ok=True)
    assert mean_iou(confusion, convention=convention) == pytest.approx(reference.mean(expected))
    shares, frequencies, accuracy = reference.accuracies(lists, classes, IGNORE)
    assert class_accuracy(confusion).tolist() == pytest.approx(shares, nan_ok=True)
    assert mean_accuracy(confusion) == pytest.approx(reference.mean(shares))
    assert pixel_accuracy(confusion) == pytest.approx(accuracy)
    present = reference.class_iou(lists, classes, IGNORE, "detectron2")
    weighted = sum(f * iou for f, iou in zip(frequencies, present, strict=True) if f)
    assert frequency_weighted_iou(confusion) == pytest.approx(weighted)


@settings(max_examples=50)  # theirs takes its time
@given(images(least=2))
def test_counts_are_those_of_torchmetrics(case):
    classes, pairs = case
    theirs = MulticlassConfusionMatrix(classes, ignore_index=IGNORE)
    ours = 0
    for guess, truth in pairs:
        guess = guess.clamp(min=0)  # it has no way to give a pixel no class
        theirs.update(guess[None], truth[None])
        ours = ours + confusion_matrix(guess, truth, classes)
    assert ours[:, :classes].tolist() == theirs.compute().tolist()


@settings(max_examples=30)
@given(images())
def test_neither_order_nor_grouping_changes_the_sum(case):
    classes, pairs = case
    each = [confusion_matrix(guess, truth, classes) for guess, truth in pairs]
    assert (sum(each[1::2], torch.zeros_like(each[0])) + sum(each[::2]) == sum(each)).all()
    at_once = [torch.cat([labels.flatten() for labels in maps]) for maps in zip(*pairs, strict=True)]
    assert (confusion_matrix(*at_once, classes) == sum(each)).all()


def test_a_class_absent_from_both_changes_nothing():
    for convention in CONVENTIONS:
        smaller = mean_iou(BY_HAND[:3, :3], convention=convention)
        assert mean_iou(BY_HAND, convention=convention) == smaller


def test_a_pixel_without_a_class_is_wrong_and_reported():
    guess = GUESS.clone()
    guess[0, 0] = IGNORE
    metrics = segmentation_metrics(counted(guess, TRUTH))
    # class 0 loses a hit and a predicted pixel, and keeps its union
    assert metrics["miou"] == pytest.approx((4 / 7 + 6 / 9) / 2)
    assert metrics["pixel_accuracy"] == 10 / 14
    assert metrics["unlabelled"] == 1 / 14


def test_predictions_on_ignored_pixels_count_nowhere():
    guess = GUESS.clone()
    guess[3, 2:] = torch.tensor([3, 1])
    assert (counted(guess, TRUTH) == counted(GUESS, TRUTH)).all()


def test_one_class_is_always_right():
    assert mean_iou(counted(torch.zeros(2, 2).int(), torch.zeros(2, 2).int(), 1)) == 1.0


def test_a_one_pixel_image_counts():
    counts = counted(torch.tensor([[1]]), torch.tensor([[0]]), 2)
    assert [mean_iou(counts, convention=convention) for convention in CONVENTIONS] == [0.0, 0.0]


def test_counts_beyond_32_bits_are_exact():
    confusion = torch.tensor([[3_000_000_001, 1], [0, 3_000_000_000]])
    assert class_iou(confusion)[0] == 3_000_000_001 / 3_000_000_002


def test_seen_and_unseen_classes_share_one_matrix():
    found = seen_unseen_iou(BY_HAND, [0])
    assert (found["miou_seen"], found["miou_unseen"]) == (5 / 7, 6 / 9)
    assert found["miou_harmonic"] == pytest.approx(2 * (5 / 7) * (6 / 9) / (5 / 7 + 6 / 9))
    assert seen_unseen_iou(BY_HAND, [0], convention="ovseg")["miou_unseen"] == 3 / 9


def test_unseen_classes_that_are_never_right_give_0():
    assert seen_unseen_iou(torch.tensor([[3, 0], [2, 0]]), [0])["miou_harmonic"] == 0.0


def test_a_set_without_unseen_classes_has_no_harmonic_mean():
    with pytest.raises(DataError, match="must show unseen classes"):
        seen_unseen_iou(BY_HAND, [0, 1])
    with pytest.raises(ValueError, match="Got 4"):
        seen_unseen_iou(BY_HAND, [4])


def test_labels_of_any_integer_type_are_counted():
    counts = confusion_matrix(torch.from_numpy(GUESS.numpy().astype(np.uint8) % 3), TRUTH.to(torch.int16), 4)
    assert counts.sum() == 14


@pytest.mark.parametrize(
    ("prediction", "truth", "said"),
    [
        (GUESS[:2], TRUTH, r"truth's shape, \(4, 4\). Got \(2, 4\)"),
        (GUESS + 2, TRUTH, r"prediction must hold classes in \[0, 3\] or -1. 2 pixels do not, such as 4"),
        (GUESS, TRUTH - 1, "truth must hold .* such as -2"),
        (GUESS.float(), TRUTH, "prediction must hold class indices"),
        (torch.full((4, 4), 255, dtype=torch.uint8), TRUTH, "16 pixels do not, such as 255"),  # no -1
    ],
)
def test_what_cannot_be_counted_is_refused(prediction, truth, said):
    with pytest.raises(ValueError, match=said):
        confusion_matrix(prediction, truth, 4)


@pytest.mark.parametrize(
    ("confusion", "said"),
    [
        (torch.zeros(2, 4).int(), r"\(C, C\) or \(C, C \+ 1\). Got \(2, 4\)"),
        (torch.zeros(3, 2).int(), r"Got \(3, 2\)"),
        (torch.ones(2, 2), "integers"),
        (torch.tensor([[1, -1], [0, 1]]), "integers"),
    ],
)
def test_what_is_no_confusion_is_refused(confusion, said):
    with pytest.raises(ValueError, match=said):
        mean_iou(confusion)


def test_an_unknown_convention_proposes_the_nearest():
    with pytest.raises(ConfigError, match=r"detectron2, ovseg. Got 'detectron'. Did you mean 'detectron2'"):
        mean_iou(BY_HAND, convention="detectron")


@pytest.mark.parametrize(("classes", "ignore"), [(0, -1), (3, 2)])
def test_impossible_confusions_are_refused(classes, ignore):
    with pytest.raises(ValueError, match="must be"):
        confusion_matrix(torch.zeros(2).long(), torch.zeros(2).long(), classes, ignore=ignore)


def test_an_element_counts_as_the_pixels_it_stands_for():
    truth, predicted = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 3])  # 3 is no class
    found = confusion_matrix(predicted, truth, 3, ignore=3, pixels=torch.tensor([5, 2, 7, 4]))
    assert found.tolist() == [[5, 2, 0, 0], [0, 7, 0, 0], [0, 0, 0, 4]]
    matched, shown, given = marginals(found)
    assert (matched.tolist(), shown.tolist(), given.tolist()) == ([5, 7, 0], [7, 7, 4], [5, 9, 0])


def test_processes_sum_what_each_has_counted(tmp_path):
    """Two processes, seven images, each image counted by one of them."""
    ended = start(confusion_of_share.run, confusion_of_share.WORLD, str(tmp_path))
    assert ended == [0] * confusion_of_share.WORLD
    images = confusion_of_share.images()
    whole = sum(confusion_matrix(guess, truth, confusion_of_share.CLASSES) for guess, truth in images)
    for rank in range(confusion_of_share.WORLD):
        assert (torch.load(tmp_path / f"{rank}.pt") == whole).all()


def test_another_ignored_value_can_be_given():
    confusion = confusion_matrix(GUESS, torch.where(TRUTH == IGNORE, 255, TRUTH), 4, ignore=255)
    assert (confusion[:, :4] == BY_HAND).all()


def test_the_mean_over_images_is_another_figure():
    """Guards what the docstring says: classes are summed before they are divided."""
    per_image = [counted(GUESS[:2], TRUTH[:2]), counted(GUESS[2:], TRUTH[2:])]
    mean_of_images = sum(map(mean_iou, per_image)) / 2
    assert not math.isclose(mean_iou(sum(per_image)), mean_of_images)
