"""Synonyms."""

import pytest
import torch
import torch.nn.functional as F

from radapter.errors import DataError
from radapter.segmentation.classifier import class_head, names_of
from radapter.zeroshot import class_embeddings

TEMPLATES = ("a photo of a {}.", "a sketch of a {}.")


def test_names_are_separated_by_commas():
    assert names_of("car, automobile") == ("car", "automobile")
    assert names_of(" sky ") == ("sky",)
    assert names_of("car, car") == ("car",)


@pytest.mark.parametrize("entry", ["", "car,", ",car", "car, ,auto"])
def test_an_empty_name_is_refused(entry: str):
    with pytest.raises(DataError, match="empty"):
        names_of(entry)


def test_without_synonyms_the_head_is_the_zero_shot_head(encoder):
    head = class_head(encoder, ["star", "fish"], TEMPLATES)
    assert torch.equal(head.embeddings, class_embeddings(encoder, ["star", "fish"], TEMPLATES))
    features = F.normalize(torch.randn(3, 128), dim=-1)
    assert torch.equal(head.cosines(features), features @ head.embeddings.T)
    # nothing to choose from: the largest of one cosine
    largest = class_head(encoder, ["star", "fish"], TEMPLATES, synonyms="max")
    torch.testing.assert_close(largest.cosines(features), head.cosines(features), rtol=0, atol=1e-6)


def test_synonyms_are_averaged(encoder):
    one = class_embeddings(encoder, ["car", "boat", "star"], TEMPLATES)
    head = class_head(encoder, ["car, boat", "star"], TEMPLATES)
    expected = torch.stack([F.normalize(one[0] + one[1], dim=0), one[2]])
    torch.testing.assert_close(head.embeddings, expected, rtol=0, atol=1e-6)


def test_max_takes_the_nearest_synonym(encoder):
    one = class_embeddings(encoder, ["car", "boat", "star"], TEMPLATES)
    head = class_head(encoder, ["star", "car, boat"], TEMPLATES, synonyms="max")
    features = F.normalize(torch.randn(6, 128, generator=torch.Generator().manual_seed(0)), dim=-1)
    cosines = features @ one.T
    expected = torch.stack([cosines[:, 2], cosines[:, :2].amax(1)], 1)
    torch.testing.assert_close(head.cosines(features), expected, rtol=0, atol=1e-6)


def test_two_classes_may_share_a_name(encoder):
    head = class_head(encoder, ["car, boat", "car, star"], TEMPLATES, synonyms="max")
    assert torch.equal(head.embeddings[0], head.embeddings[2])


def test_repeated_classes_and_none_are_refused(encoder):
    with pytest.raises(DataError, match="must differ"):
        class_head(encoder, ["car", "car"], TEMPLATES)
    with pytest.raises(DataError, match="at least one"):
        class_head(encoder, [], TEMPLATES)
