"""The shipped encoder: a plain CLIPModel folder that scores as its card reports."""

import json

import pytest
import torch
import transformers
from PIL import Image
from pretraining import score

from radapter import world
from radapter.zeroshot import SHORT_TEMPLATES


@pytest.fixture(scope="module")
def model():
    return transformers.CLIPModel.from_pretrained(world.TINY, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def card():
    return json.loads((world.TINY / "scores.json").read_text())


def test_folder_is_small():
    assert sum(path.stat().st_size for path in world.TINY.iterdir()) <= 6 * 2**20


def test_folder_loads_in_plain_transformers(model):
    processor = transformers.AutoImageProcessor.from_pretrained(world.TINY, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(world.TINY)
    image = world.split("photo", size=1).images[0]
    pixels = processor(Image.fromarray(image.permute(1, 2, 0).numpy()), return_tensors="pt").pixel_values
    assert torch.allclose(pixels[0], world.normalised(image[None])[0], atol=1e-5)
    out = model(
        input_ids=tokenizer(["a photo of a star."], return_tensors="pt").input_ids, pixel_values=pixels
    )
    assert out.logits_per_image.shape == (1, 1)


def test_card_describes_how_it_was_made(card):
    text = (world.TINY / "README.md").read_text()
    for fact in (
        "labels and masks",
        f"seed {card['seed']}",
        "benchmarks/world/pretrain.py",
        f"{card['images']:,} images",
    ):
        assert fact in text


def test_it_scores_as_its_card_reports(model, card):
    found = score.scores(model, SHORT_TEMPLATES, seed=7, images=200)
    # Other images: four standard errors of a fraction near 0.8 over 200 are 0.11, of the mean of eight sets 0.04.
    assert found["id_test"] == pytest.approx(card["scores"]["id_test"], abs=0.11)
    assert found["ood_mean"] == pytest.approx(card["scores"]["ood_mean"], abs=0.04)
    assert found["t2i_r1"] == pytest.approx(card["scores"]["t2i_r1"], abs=0.15)


def test_it_beats_chance_by_far_in_every_style(card):
    assert all(card["scores"][name] > 0.3 for name in world.OOD)
