"""The standard errors of mIoU and of rsum over images."""

import pytest
import torch
from reference.selection import pseudo_values

from radapter.evaluation import RetrievalRanks, retrieval_metrics
from radapter.evaluation.jackknife import (
    miou_pseudo_values,
    rsum_pseudo_values,
    standard_error,
)
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


def miou_error(matched, truth, predicted) -> float:
    return standard_error(miou_pseudo_values(matched, truth, predicted))


def test_it_is_the_spread_of_leaving_one_image_out():
    confusions = drawn(0, images=5)
    left_out = [mean_iou(confusions.sum(0) - confusions[i]) for i in range(5)]
    middle = sum(left_out) / 5
    expected = (4 / 5 * sum((value - middle) ** 2 for value in left_out)) ** 0.5
    assert miou_error(*marginals(confusions)) == pytest.approx(expected)


def test_mious_pseudo_values_are_those_of_leaving_one_image_out_literally():
    confusions = drawn(0, images=5)
    literal = pseudo_values(lambda images: mean_iou(sum(images)), list(confusions))
    assert miou_pseudo_values(*marginals(confusions)).tolist() == pytest.approx(literal)


def test_a_bootstrap_over_images_says_the_same():
    confusions = drawn(1)
    draw = torch.Generator().manual_seed(2)
    again = [mean_iou(confusions[torch.randint(60, (60,), generator=draw)].sum(0)) for _ in range(400)]
    # the spread of 400 draws is itself known to about 4 %
    assert miou_error(*marginals(confusions)) == pytest.approx(float(torch.tensor(again).std()), rel=0.15)


def test_more_images_tell_more_and_equal_ones_everything():
    few, many = (miou_error(*marginals(drawn(3, images=n))) for n in (40, 400))
    assert many < 0.6 * few
    assert miou_error(*marginals(drawn(4, images=1).expand(9, 4, 4))) == pytest.approx(0)
    assert miou_error(*marginals(drawn(4, images=1))) == 0


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"must all be \(N, C\)"):
        miou_pseudo_values(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(3, 3))


def ranked(seed: int, images: int):
    """Ranks of images with one to five captions; those of hard images are late in both directions."""
    draw = torch.Generator().manual_seed(seed)
    hard = torch.rand(images, generator=draw)
    image_of_text = torch.arange(images).repeat_interleave(torch.randint(1, 6, (images,), generator=draw))

    def ranks(of: torch.Tensor) -> torch.Tensor:
        return 1 + (30 * hard[of] * torch.rand(len(of), generator=draw)).long()

    return RetrievalRanks(ranks(image_of_text), ranks(torch.arange(images))), image_of_text


def rsum_error(ranks: RetrievalRanks, image_of_text: torch.Tensor) -> float:
    """Of images, each a unit with its captions."""
    return standard_error(rsum_pseudo_values(ranks, torch.arange(len(ranks.image_to_text)), image_of_text))


def rsum_of(ranks: RetrievalRanks, image_of_text: torch.Tensor, images: torch.Tensor) -> float:
    """Of these images, with repetition, and their captions."""
    texts = torch.cat([(image_of_text == image).nonzero()[:, 0] for image in images])
    return retrieval_metrics(RetrievalRanks(ranks.text_to_image[texts], ranks.image_to_text[images]))["rsum"]


def test_rsums_error_is_the_spread_of_leaving_one_image_and_its_captions_out():
    ranks, image_of_text = ranked(0, images=7)
    order = torch.arange(7)
    left_out = [rsum_of(ranks, image_of_text, order[order != image]) for image in order]
    middle = sum(left_out) / 7
    expected = (6 / 7 * sum((value - middle) ** 2 for value in left_out)) ** 0.5
    assert rsum_error(ranks, image_of_text) == pytest.approx(expected)


def test_rsums_pseudo_values_are_those_of_leaving_one_image_out_literally():
    ranks, image_of_text = ranked(0, images=7)
    literal = pseudo_values(
        lambda images: rsum_of(ranks, image_of_text, torch.tensor(images)), list(range(7))
    )
    assert rsum_pseudo_values(ranks, torch.arange(7), image_of_text).tolist() == pytest.approx(literal)


def test_a_bootstrap_over_captioned_images_says_the_same():
    ranks, image_of_text = ranked(1, images=80)
    draw = torch.Generator().manual_seed(2)
    again = [rsum_of(ranks, image_of_text, torch.randint(80, (80,), generator=draw)) for _ in range(400)]
    # the spread of 400 draws is itself known to about 4 %
    assert rsum_error(ranks, image_of_text) == pytest.approx(float(torch.tensor(again).std()), rel=0.15)


def test_rsums_error_worked_by_hand():
    # image 0 passes no cutoff, its two captions all three; image 1 passes all, its one caption none
    ranks = RetrievalRanks(text_to_image=torch.tensor([1, 1, 11]), image_to_text=torch.tensor([11, 1]))
    # without image 0: 3 + 0 / 1 = 3; without image 1: 0 + 6 / 2 = 3
    assert rsum_error(ranks, torch.tensor([0, 0, 1])) == 0
    # were both captions late: 3 and 0, so sqrt(1 / 2 * (1.5^2 + 1.5^2))
    late = RetrievalRanks(torch.tensor([11, 11, 11]), ranks.image_to_text)
    assert rsum_error(late, torch.tensor([0, 0, 1])) == pytest.approx(1.5)


def test_one_image_tells_nothing_of_rsum_and_shapes_are_checked():
    ranks = RetrievalRanks(torch.tensor([1, 4]), torch.tensor([1]))
    assert rsum_error(ranks, torch.tensor([0, 0])) == 0
    with pytest.raises(ValueError, match=r"unit_of_text \(M,\) = \(2,\)"):
        rsum_error(ranks, torch.tensor([0]))


def test_groups_are_units_with_all_their_images_and_captions():
    # two units: images 0 and 1 pass every cutoff, image 2 none; each has one caption, which passes all
    ranks = RetrievalRanks(torch.tensor([1, 1]), torch.tensor([1, 1, 11]))
    # without unit 0: 0 / 1 + 3; without unit 1: 6 / 2 + 3; so sqrt(1 / 2 * 2 * 1.5^2)
    found = standard_error(rsum_pseudo_values(ranks, torch.tensor([0, 0, 1]), torch.tensor([0, 1])))
    assert found == pytest.approx(1.5)
