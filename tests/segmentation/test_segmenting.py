"""Images with known regions to label maps."""

import pytest
import torch

from radapter.errors import ConfigError, DataError
from radapter.segmentation import (
    NOTHING,
    Proposals,
    RegionClassifier,
    combine,
    label_map,
    label_regions,
    segment,
)

CLASSES, TEMPLATES = ("star", "fish", "house", "tree"), ("a photo of a {}.",)


@pytest.fixture
def classifier(encoder):
    return RegionClassifier(encoder, CLASSES, TEMPLATES)


def oracle(scenes):
    found = [label_regions(mask.long(), ignored=(0,))[0] for mask in scenes[1]]
    return [Proposals(masks.half(), torch.ones(len(masks))) for masks in found]


def test_labels_follow_the_scores_of_the_regions(classifier, scenes):
    proposals = oracle(scenes)
    segmented = segment(scenes[0], proposals, classifier)
    for mask, regions, result in zip(scenes[1], proposals, segmented, strict=True):
        for number, region in enumerate(regions.masks.bool()):
            assert result.labels[region].unique().tolist() == [result.scores[number].argmax().item()]
        assert torch.equal(result.labels == NOTHING, mask == 0)


def test_the_ensemble_joins_the_proposer_s_scores(classifier, scenes):
    proposals = []
    for seed, regions in enumerate(oracle(scenes)):
        own = torch.rand(len(regions), 4, generator=torch.Generator().manual_seed(seed))
        proposals.append(Proposals(regions.masks, regions.objectness, own))
    seen = torch.tensor([True, False, True, False])
    plain = segment(scenes[0], proposals, classifier)
    joined = segment(scenes[0], proposals, classifier, ensemble="zsseg", weight=0.6, seen=seen)
    for regions, clip, result in zip(proposals, plain, joined, strict=True):
        expected = combine(regions.class_scores, clip.scores, 0.6, "zsseg", valid=clip.valid, seen=seen)
        torch.testing.assert_close(result.scores, expected, rtol=0, atol=1e-5)
        assert torch.equal(result.labels, label_map(result.scores, regions.masks))


def test_an_image_without_regions_has_no_label(classifier, scenes):
    nothing = Proposals(torch.zeros(0, 48, 48), torch.zeros(0))
    (result,) = segment(scenes[0][:1], [nothing], classifier)
    assert result.labels.eq(NOTHING).all()


def test_masks_of_another_size_are_refused(classifier, scenes):
    with pytest.raises(DataError, match=r"48 x 48\. They have 40 x 30"):
        segment(scenes[0][:1], [Proposals(torch.zeros(1, 30, 40), torch.zeros(1))], classifier)


def test_an_ensemble_without_the_proposer_s_scores_is_refused(classifier, scenes):
    with pytest.raises(ConfigError, match="Use 'region'"):
        segment(scenes[0], oracle(scenes), classifier, ensemble="ovseg")
