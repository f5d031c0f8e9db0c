"""An encoder with mask prompts: it reads the mask with the pixels, and nothing of it but the tokens is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from methods.random_start import RandomStart
from PIL import Image

from radapter.data import open_masks
from radapter.methods import METHODS
from radapter.runs.mask_prompts import tune_prompts
from radapter.segmentation import FelzenszwalbProposer, MaskPrompts, PromptedEncoder, region_crops
from radapter.segmentation.mask_prompts import with_masks
from radapter.segmentation.training_regions import MaskRegions
from radapter.tasks.recipe import Recipe
from radapter.tasks.segmentation import SegmentationSuite
from radapter.training import Environment
from radapter.zeroshot import LinearHead


def suite_of(encoder, train, id_val) -> SegmentationSuite:
    """The true regions of one set, and another that validates; no test sets."""
    return SegmentationSuite(
        train=MaskRegions(train),
        id_val=id_val,
        id_test={},
        ood={},
        templates=("a {}.",),
        proposer=FelzenszwalbProposer(max_regions=6),
        crop=lambda image, masks: region_crops(
            image, masks, size=48, mean=encoder.image_mean, std=encoder.image_std
        ),
    )


def test_features_are_those_of_the_prompts(encoder):
    prompts = MaskPrompts(encoder)
    pixels, masks = torch.randn(4, 3, 48, 48), torch.rand(4, 48, 48) > 0.7
    with torch.no_grad():
        got = PromptedEncoder(encoder, prompts).encode_image(torch.cat([pixels, masks[:, None].float()], 1))
        assert torch.equal(got, prompts.encode_image(encoder, pixels, masks))


def test_without_its_prompts_it_is_the_encoder_as_it_was(encoder):
    prompted = PromptedEncoder(encoder, MaskPrompts(encoder))
    pixels = torch.cat([torch.randn(4, 3, 48, 48), torch.zeros(4, 1, 48, 48)], 1)
    pixels[:, 3, 8:24, 16:40] = 1
    with torch.no_grad():
        plain, shown = encoder.encode_image(pixels[:, :3]), prompted.encode_image(pixels)
        with prompted.at(0.0):
            assert torch.equal(prompted.encode_image(pixels), plain)
        with prompted.at(1.0):
            assert torch.equal(prompted.encode_image(pixels), shown)
        assert torch.equal(prompted.encode_image(pixels), shown)
    assert not torch.equal(plain, shown)


def test_preprocess_adds_the_mask_as_the_fourth_channel(encoder):
    alpha = np.zeros((48, 48), np.uint8)
    alpha[10:20, 5:40] = 255
    region = Image.new("RGB", (48, 48), (200, 30, 60))
    region.putalpha(Image.fromarray(alpha))
    pixels = PromptedEncoder(encoder, MaskPrompts(encoder)).preprocess(region)
    assert torch.equal(pixels[3], torch.from_numpy(alpha > 0).float())
    mean, std = (torch.tensor(value) for value in (encoder.image_mean, encoder.image_std))
    assert pixels[:3, 0, 0] == pytest.approx(torch.zeros(3), abs=0.01)  # the fill: the tower's mean
    inside = (torch.tensor([200, 30, 60]) / 255 - mean) / std
    assert torch.allclose(pixels[:3, 15, 20], inside, atol=1e-5)


def test_crops_include_their_masks(encoder):
    image = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8)
    masks = torch.zeros(2, 30, 40, dtype=torch.bool)
    masks[0, 5:20, 3:30] = True

    def crop(image, masks):
        return region_crops(image, masks, size=48, mean=encoder.image_mean, std=encoder.image_std)

    plain, more = crop(image, masks), with_masks(crop)(image, masks)
    assert torch.equal(more.pixels[:, :3], plain.pixels)
    assert torch.equal(more.pixels[:, 3].bool(), plain.masks)


def test_training_moves_the_tokens_alone_and_adapters_never_drop(encoder):
    scenes = [
        open_masks({"world": "scenes", "size": size, "seed": seed, "background": False}, name=f"{seed}")
        for size, seed in ((12, 0), (6, 1))
    ]
    suite = suite_of(encoder, *scenes)
    METHODS["r-adapter"].build(
        encoder,
        head=LinearHead(torch.zeros(0, encoder.embed_dim)),
        loss=lambda *_: torch.zeros(()),
        settings=RandomStart(drop=0.9),
    )
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    recipe = Recipe(epochs=2, batch_size=8)
    runs = [tune_prompts(encoder, suite, recipe, depth=2, seed=seed) for seed in (0, 0, 1)]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    first, again, other = (run.prompts.tokens for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, MaskPrompts(encoder, depth=2, seed=0).tokens)
    prompted = runs[0].train()
    pixels = torch.randn(3, 4, 48, 48)
    with torch.no_grad():
        assert torch.equal(prompted.encode_image(pixels), prompted.eval().encode_image(pixels))


@pytest.mark.parametrize("chunk_size", [3, 100])
def test_in_chunks_tokens_learn_as_at_once(encoder, chunk_size):
    scenes = open_masks({"world": "scenes", "size": 12, "seed": 0, "background": False}, name="scenes")
    suite = suite_of(encoder, scenes, scenes)
    recipe = Recipe(epochs=1, batch_size=8, gradient_checkpointing=True)
    start = MaskPrompts(encoder, depth=2, seed=0).tokens
    whole, chunked = (
        tune_prompts(encoder, suite, replace(recipe, chunk_size=size), depth=2, seed=0).prompts.tokens - start
        for size in (None, chunk_size)
    )
    assert whole.abs().max() > 1e-3
    # AdamW makes as much of a tiny gradient as of a large one
    assert torch.nn.functional.cosine_similarity(whole.flatten(), chunked.flatten(), dim=0) > 0.999


def test_prompts_learn_to_tell_regions_of_the_world(encoder, recipe):
    """Of 40 scenes' true regions, before and after: the loss on them falls."""
    scenes = open_masks({"world": "scenes", "size": 40, "seed": 0, "background": False}, name="scenes")
    suite = suite_of(encoder, scenes, scenes)
    losses = []
    tune_prompts(
        encoder,
        suite,
        replace(recipe, epochs=6, learning_rate=5e-2),
        depth=3,
        seed=0,
        environment=Environment(report=lambda step: losses.append(step.loss)),
    )
    third = len(losses) // 3
    assert sum(losses[-third:]) < 0.8 * sum(losses[:third])
