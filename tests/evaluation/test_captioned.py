"""RetrievalMeasure: the metrics of a set's features, whatever was read and whatever a group is."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from radapter.data import Batch
from radapter.evaluation import (
    RetrievalMeasure,
    measured,
    positive_pairs,
    retrieval_map_at_r,
    retrieval_metrics,
    retrieval_ranks,
    retrieval_ranks_of_groups,
)
from radapter.evaluation.jackknife import rsum_pseudo_values, standard_error

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = normalize(torch.randn(6, 12, generator=GENERATOR))
TEXTS = normalize(torch.randn(10, 12, generator=GENERATOR))
OF_IMAGE = torch.tensor([0, 0, 1, 2, 2, 3, 4, 5, 5, 5])


class Flat(nn.Module):
    """Images of 2 x 2 pixels are their own features."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def weights_changed(self) -> None:
        """Nothing is kept of its texts."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        return self.weight * pixels.flatten(1)


def batch(*indices: int) -> Batch:
    chosen = torch.tensor(indices)
    return Batch(3 * IMAGES[chosen].reshape(-1, 3, 2, 2), chosen, chosen, chosen)


def measure(batches, groups=None, targets=None) -> RetrievalMeasure:
    own = torch.arange(6)
    groups = own if groups is None else torch.tensor(groups)
    targets = groups if targets is None else torch.tensor(targets)
    return RetrievalMeasure(Flat(), batches, lambda: TEXTS, OF_IMAGE, groups, torch.arange(10), targets)


def test_metrics_are_those_of_the_features():
    found = measured(Flat(), measure([batch(0, 1, 2, 3), batch(4, 5)])).metrics
    own = torch.stack((OF_IMAGE, torch.arange(10)), 1)
    ranks = retrieval_ranks(IMAGES, TEXTS, OF_IMAGE)
    error = {"rsum_se": standard_error(rsum_pseudo_values(ranks, torch.arange(6), OF_IMAGE))}
    assert found == retrieval_metrics(ranks) | error | retrieval_map_at_r(IMAGES, TEXTS, own)


def test_an_unreadable_image_takes_its_captions_with_it():
    found = measured(Flat(), measure([batch(0, 1), batch(3, 4, 5)])).metrics
    kept, texts = torch.tensor([0, 1, 3, 4, 5]), torch.tensor([0, 1, 2, 5, 6, 7, 8, 9])
    place = torch.tensor([0, 0, 1, 2, 3, 4, 4, 4])
    expected = retrieval_metrics(retrieval_ranks(IMAGES[kept], TEXTS[texts], place))
    assert {name: found[name] for name in expected} == expected
    assert (found["n"], found["texts"]) == (5, 8)


def test_every_image_of_a_group_is_a_right_answer_to_its_captions():
    groups = [0, 0, 1, 1, 2, 3]
    found = measured(Flat(), measure([batch(*range(6))], groups)).metrics
    pairs = positive_pairs(torch.tensor(groups), torch.tensor(groups)[OF_IMAGE])
    expected = retrieval_metrics(retrieval_ranks_of_groups(IMAGES, TEXTS, pairs))
    assert {name: found[name] for name in expected} == expected
    assert expected != retrieval_metrics(retrieval_ranks(IMAGES, TEXTS, OF_IMAGE))


def test_a_groups_equal_captions_are_one_answer_as_class_names_are():
    # three classes of two images; images of the last are nearest to another class's name, then to their own
    names = torch.eye(3)
    nearest = torch.tensor([0, 0, 1, 1, 1, 1])
    own = torch.arange(3).repeat_interleave(2)
    pixels = normalize(names[nearest] + 0.5 * names[own])
    images = Batch(torch.cat([pixels, torch.zeros(6, 9)], 1).reshape(6, 3, 2, 2), *[torch.arange(6)] * 3)
    texts = torch.cat([names, torch.zeros(3, 9)], 1)[own]  # a copy of the name beside each image
    asked = RetrievalMeasure(Flat(), [images], lambda: texts, torch.arange(6), own, own, own)
    found = measured(Flat(), asked).metrics
    assert (found["n"], found["texts"]) == (6, 3)
    assert found["i2t_r1"] == 4 / 6
    assert found["i2t_r5"] == 1.0  # the right name is second; of its copies the best would be third
    assert found["i2t_mean_rank"] == (4 * 1 + 2 * 2) / 6
    assert found["t2i_r1"] == 1.0  # each name asks once
    ranks = retrieval_ranks_of_groups(pixels, names, positive_pairs(own, torch.arange(3)))
    assert found["rsum_se"] == standard_error(rsum_pseudo_values(ranks, own, torch.arange(3))) > 0


def test_targets_joined_by_captions_count_for_map_at_r_alone():
    apart, joined = (
        measured(Flat(), measure([batch(*range(6))], None, t)).metrics for t in (None, [0, 0, 0, 1, 1, 2])
    )
    assert apart["i2t_map_at_r"] != joined["i2t_map_at_r"]
    assert apart["rsum"] == joined["rsum"]


def test_the_encoder_keeps_its_mode():
    encoder = Flat().train()
    measured(encoder, replace(measure([batch(0, 1, 2, 3, 4, 5)]), encoder=encoder))
    assert encoder.training


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1, 0), (2, 0, 4, 1, 5, 3)])
def test_the_order_of_images_does_not_matter(order):
    assert (
        measured(Flat(), measure([batch(*order)])).metrics
        == measured(Flat(), measure([batch(*range(6))])).metrics
    )
