"""An image's regions against its nouns, by a real encoder on scenes whose regions are known."""

import pytest
import torch
import torch.nn.functional as F
from segmentation.mining.true_regions import TrueRegions

import radapter
from radapter.errors import ModelError
from radapter.segmentation import region_crops
from radapter.segmentation.crops import CropStyle, pixels_of
from radapter.segmentation.mining import RegionMatcher


def test_scores_are_cosines_of_square_crops_and_prompts(captioned, named, truth, tiny, matcher):
    image, nouns = captioned.image(3), named.of_images[3]
    masks = TrueRegions(truth)(image).masks > 0.4
    style = CropStyle(expand=1.25, square=True)
    crops = region_crops(
        pixels_of(image), masks, size=48, mean=tiny.image_mean, std=tiny.image_std, style=style
    )
    with torch.no_grad():
        image_features = F.normalize(tiny.encode_image(crops.pixels), dim=-1)
        texts = [f"a photo of a{'n' * (noun[0] in 'aeiou')} {noun}." for noun in named.nouns]
        text_features = F.normalize(tiny.encode_text(tiny.tokenize(texts)), dim=-1)
    found = matcher(image, nouns)
    assert len(found) == len(nouns.ids) > 0
    for place, (mask, match) in enumerate(found):
        cosines = image_features @ text_features[nouns.ids[place]]
        assert match.noun == place
        assert match.score == pytest.approx(float(cosines.max()), abs=1e-5)  # other batches round otherwise
        assert torch.equal(mask, masks[match.region])


def test_most_nouns_find_their_object(captioned, named, truth, matcher):
    right = total = 0
    for row, nouns in enumerate(named.of_images):
        for mask, match in matcher(captioned.image(row), nouns):
            objects = [radapter.world.CLASSES[c] for c in truth.scenes.classes[row].tolist() if c >= 0]
            slot = objects.index(named.nouns[nouns.ids[match.noun]]) + 1
            right += torch.equal(mask, truth.masks[row] == slot)
            total += 1
    assert total > 24
    assert right / total > 0.7  # 3 regions a scene at most: chance is below one half


@pytest.mark.parametrize("option", [{"expand": 1.0}, {"square": False}, {"template": "a sketch of a {}."}])
def test_every_option_changes_the_scores(captioned, named, truth, tiny, matcher, option):
    other = RegionMatcher(tiny, TrueRegions(truth), named.nouns, **option)
    image, nouns = captioned.image(0), named.of_images[0]
    assert [m.score for _, m in other(image, nouns)] != [m.score for _, m in matcher(image, nouns)]


def test_regions_below_the_area_are_ignored(captioned, named, truth, tiny):
    large = RegionMatcher(tiny, TrueRegions(truth), named.nouns, min_area=0.5)
    assert all(mask.float().mean() >= 0.5 for mask, _ in large(captioned.image(0), named.of_images[0]))
    none = RegionMatcher(tiny, TrueRegions(truth), named.nouns, min_area=0.999)
    assert none(captioned.image(0), named.of_images[0]) == []


def test_a_model_without_texts_is_refused(named, truth):
    encoder = radapter.load("timm:vit_tiny_patch16_224")
    with pytest.raises(ModelError, match="text tower"):
        RegionMatcher(encoder, TrueRegions(truth), named.nouns)
