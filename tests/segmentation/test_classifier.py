"""Regions through the CLIP: the formula, shared passes, what each option changes."""

import pytest
import torch
import torch.nn.functional as F
from reference import regions

from radapter.errors import DataError, ModelError
from radapter.segmentation import MaskPrompts, RegionClassifier
from radapter.segmentation.crops import CropStyle, pixels_of, region_crops
from radapter.zeroshot import class_embeddings

CLASSES, TEMPLATES = ("star", "fish", "house"), ("a photo of a {}.", "a drawing of a {}.")


@pytest.fixture
def images(scenes):
    return [pixels_of(image) for image in scenes[0]]


def masks_of(count: int, seed: int) -> torch.Tensor:
    return regions.random_masks(count, 48, 48, seed=seed)


def test_scores_are_softmaxed_scaled_cosines_of_crop_and_class(encoder, images):
    masks = masks_of(4, 0)
    ((scores, valid),) = RegionClassifier(encoder, CLASSES, TEMPLATES)(images[:1], [masks])
    crops = region_crops(images[0], masks, size=48, mean=encoder.image_mean, std=encoder.image_std)
    with torch.no_grad():
        features = F.normalize(encoder.encode_image(crops.pixels), dim=-1)
        head = class_embeddings(encoder, CLASSES, TEMPLATES)
        expected = (encoder.logit_scale * features @ head.T).softmax(-1)
    assert valid.all()
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)


def test_images_share_the_passes_and_keep_their_regions(encoder, images):
    masks = [masks_of(count, count) for count in (3, 5, 1, 2)]
    classifier = RegionClassifier(encoder, CLASSES, TEMPLATES, batch_size=4)
    sizes = []
    hook = encoder.module.vision_model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    together = classifier(images, masks)
    hook.remove()
    assert sizes == [4, 4, 3]
    for image, regions_of, result in zip(images, masks, together, strict=True):
        (alone,) = classifier([image], [regions_of])
        # float32: another batch is another order of sums
        torch.testing.assert_close(result.scores, alone.scores, rtol=0, atol=1e-5)


def test_empty_regions_are_not_encoded_and_score_nothing(encoder, images):
    masks = masks_of(3, 2)
    masks[1] = False
    classifier = RegionClassifier(encoder, CLASSES, TEMPLATES)
    some, none, empty = classifier(images[:3], [masks, torch.zeros(2, 48, 48), torch.zeros(0, 48, 48)])
    assert some.valid.tolist() == [True, False, True]
    assert some.scores[1].eq(0).all()
    torch.testing.assert_close(some.scores[[0, 2]].sum(1), torch.ones(2))
    assert not none.valid.any()
    assert none.scores.eq(0).all()
    assert empty.scores.shape == (0, 3)


@pytest.mark.parametrize(
    "option",
    [
        {"style": CropStyle(fill=(1.0, 0.0, 0.0))},
        {"style": CropStyle(antialias=False)},
        {"style": CropStyle(ovseg_compat=True)},
        {"synonyms": "max"},
        {"style": CropStyle(threshold=0.7)},
    ],
)
def test_every_option_changes_the_scores(encoder, images, option: dict):
    classes = ("star, sun", "fish", "house")
    large = F.interpolate(images[0][None].float(), scale_factor=3, mode="bicubic")[0].clamp(0, 255).byte()
    soft = 0.5 * regions.random_masks(3, 144, 144, seed=1) + 0.4 * regions.random_masks(3, 144, 144, seed=2)
    (plain,), (changed,) = (
        RegionClassifier(encoder, classes, TEMPLATES, **options)([large], [soft]) for options in ({}, option)
    )
    assert not torch.allclose(plain.scores, changed.scores, atol=1e-4)


def test_mask_prompts_replace_what_the_fill_showed(encoder, images):
    masks = masks_of(3, 5)
    prompts = MaskPrompts(encoder)
    ((plain, _),) = RegionClassifier(encoder, CLASSES, TEMPLATES)(images[:1], [masks])
    classifier = RegionClassifier(encoder, CLASSES, TEMPLATES, prompts=prompts)
    ((prompted, _),) = classifier(images[:1], [masks])
    assert not torch.allclose(plain, prompted, atol=1e-4)
    crops = classifier.crops(images[0], masks)
    with torch.no_grad():
        features = F.normalize(prompts.encode_image(encoder, crops.pixels, crops.masks), dim=-1)
        expected = encoder.logit_scale * features @ class_embeddings(encoder, CLASSES, TEMPLATES).T
    torch.testing.assert_close(prompted, expected.softmax(-1), rtol=0, atol=1e-5)


def test_a_region_cut_out_of_the_world_is_its_class(encoder, scenes):
    """Ground-truth regions of drawn objects, against all classes: far above chance."""
    from radapter.world import CLASSES as NAMES
    from radapter.world import draw, sample

    described = sample(5, torch.arange(60), styles=("photo",), two_objects=0.0, rank_exponent=0.0)
    pixels, masks = draw(described)
    results = RegionClassifier(encoder, NAMES, TEMPLATES)(list(pixels), [(m == 1)[None] for m in masks])
    right = sum(
        int(result.scores[0].argmax()) == truth
        for result, truth in zip(results, described.classes[:, 0].tolist(), strict=True)
    )
    assert right >= 24  # 20 classes: 3 by chance


def test_repeated_classes_are_refused(encoder):
    with pytest.raises(DataError, match="must differ"):
        RegionClassifier(encoder, ("star", "star"), TEMPLATES)


def test_a_model_without_a_text_tower_is_refused():
    import radapter

    with pytest.raises(ModelError, match="an image tower only"):
        RegionClassifier(radapter.load("timm:vit_tiny_patch16_224"), CLASSES, TEMPLATES)
