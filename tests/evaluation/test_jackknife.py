"""The standard error of mIoU over images."""

import pytest
import torch

from radapter.evaluation.jackknife import counts_by_class, miou_standard_error
from radapter.evaluation.miou import mean_iou


def drawn(seed: int, images: int = 60, classes: int = 4):
    """Confusions of images (N, C, C) whose difficulty differs."""
    draw = torch.Generator().manual_seed(seed)
    hard = torch.rand(images, 1, 1, generator=draw)
    right = torch.eye(classes) * 40 * (1 - hard) + 10 * hard * torch.rand(
        images, classes, classes, generator=draw
    )
    return right.round().long()


def marginals(confusions):
    return confusions.diagonal(dim1=1, dim2=2), confusions.sum(2), confusions.sum(1)


def test_it_is_the_spread_of_leaving_one_image_out():
    confusions = drawn(0, images=5)
    left_out = [mean_iou(confusions.sum(0) - confusions[i]) for i in range(5)]
    middle = sum(left_out) / 5
    expected = (4 / 5 * sum((value - middle) ** 2 for value in left_out)) ** 0.5
    assert miou_standard_error(*marginals(confusions)) == pytest.approx(expected)


def test_a_bootstrap_over_images_says_the_same():
    confusions = drawn(1)
    draw = torch.Generator().manual_seed(2)
    again = [mean_iou(confusions[torch.randint(60, (60,), generator=draw)].sum(0)) for _ in range(400)]
    # the spread of 400 draws is itself known to about 4 %
    assert miou_standard_error(*marginals(confusions)) == pytest.approx(
        float(torch.tensor(again).std()), rel=0.15
    )


def test_more_images_tell_more_and_equal_ones_everything():
    few, many = (miou_standard_error(*marginals(drawn(3, images=n))) for n in (40, 400))
    assert many < 0.6 * few
    assert miou_standard_error(*marginals(drawn(4, images=1).expand(9, 4, 4))) == pytest.approx(0)
    assert miou_standard_error(*marginals(drawn(4, images=1))) == 0


def test_counts_by_class_are_the_margins_of_a_confusion():
    truth, predicted, pixels = (
        torch.tensor([0, 0, 1, 2]),
        torch.tensor([0, 1, 1, 3]),
        torch.tensor([5, 2, 7, 4]),
    )
    matched, shown, given = counts_by_class(truth, predicted, pixels, 3)  # 3 is no class
    assert (matched.tolist(), shown.tolist(), given.tolist()) == ([5, 7, 0], [7, 7, 4], [5, 9, 0])


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"must all be \(N, C\)"):
        miou_standard_error(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3, 3))
