"""Features of images and captions: each encoded once, unit norm, in order."""

import pytest
import torch

from radapter.errors import DataError
from radapter.evaluation import retrieval_features, retrieval_metrics, retrieval_ranks
from radapter.evaluation.features import encode_texts
from radapter.world import normalised, split

CAPTIONS = ["a red star", "a blue moon", "a red star", "a green car", "a blue moon"]


@pytest.fixture
def seen(encoder):
    """How many texts each call of the text tower got."""
    sizes = []
    encoder.module.text_model.register_forward_hook(
        lambda module, args, kwargs, output: sizes.append(len(output.pooler_output)), with_kwargs=True
    )
    return sizes


def test_equal_captions_are_encoded_once_and_stand_where_they_were(encoder, seen):
    features = encode_texts(encoder, CAPTIONS, batch_size=2)
    assert seen == [2, 1]
    assert features[0].equal(features[2])
    assert features[1].equal(features[4])
    alone = torch.cat([encode_texts(encoder, [caption]) for caption in CAPTIONS])
    assert features.allclose(alone, atol=1e-6)  # float32: another batch is another order of sums


def test_features_are_of_unit_norm_and_their_order_is_that_of_the_batches(encoder):
    pixels = normalised(split("id_test", seed=0, size=6).images)
    images, texts = retrieval_features(encoder, [pixels[:4], pixels[4:]], CAPTIONS)
    assert images.norm(dim=1).allclose(torch.ones(6))
    assert texts.norm(dim=1).allclose(torch.ones(5))
    alone, _ = retrieval_features(encoder, [pixels[5:]], CAPTIONS)
    assert images[5].allclose(alone[0], atol=1e-6)


def test_the_encoder_keeps_its_mode(encoder):
    encoder.train()
    encode_texts(encoder, CAPTIONS)
    assert encoder.training


def test_the_tiny_model_retrieves_scenes_by_their_captions(encoder):
    scenes = split("id_test", seed=0, size=60)
    captions = [f"a photo of a {scenes.classnames[label]}." for label in scenes.labels]
    images, texts = retrieval_features(encoder, [normalised(scenes.images)], captions)
    metrics = retrieval_metrics(retrieval_ranks(images, texts, torch.arange(60)))
    # Three scenes share a caption, so every text ties with two others: an image's own stands third at best.
    assert metrics["i2t_r1"] == 0
    assert metrics["i2t_r5"] > 0.5


def test_nothing_to_encode_is_refused(encoder):
    with pytest.raises(DataError, match="images must hold at least one"):
        retrieval_features(encoder, [], CAPTIONS)
    with pytest.raises(DataError, match="texts must hold at least one"):
        encode_texts(encoder, [])
