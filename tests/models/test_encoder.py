import pickle
from pathlib import Path

import peft
import pytest
import torch
from models.small import clip_folder
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, CLIPModel, Siglip2Model

from radapter import RAdapterConfig
from radapter.errors import ModelError
from radapter.models import DualEncoder, load

IMAGE = Image.effect_noise((50, 40), 90).convert("RGB").rotate(10)
CAPTIONS = ["a red star", "a large blue castle on a green background"]


@pytest.fixture(params=["clip", "siglip", "siglip2", "open_clip"])
def encoder(request: pytest.FixtureRequest, tiny_architecture: str) -> DualEncoder:
    if request.param == "open_clip":
        return load(f"open_clip:{tiny_architecture}")
    return load(request.getfixturevalue(request.param))


def test_forward_gives_unit_features_of_both_towers(encoder: DualEncoder) -> None:
    pixels = torch.randn(3, 3, encoder.image_size, encoder.image_size)
    tokens = torch.randint(0, 90, (2, encoder.context_length))
    image_features, text_features = encoder(pixels, tokens)
    assert image_features.shape == (3, encoder.embed_dim)
    assert text_features.shape == (2, encoder.embed_dim)
    for features in (image_features, text_features):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(len(features)))


def test_features_are_not_normalised(encoder: DualEncoder) -> None:
    pixels = torch.randn(1, 3, encoder.image_size, encoder.image_size)
    assert abs(float(encoder.encode_image(pixels).detach().norm()) - 1) > 1e-3


def test_features_are_those_of_transformers(clip: Path) -> None:
    encoder, plain = load(clip), CLIPModel.from_pretrained(clip, dtype=torch.float32)
    pixels, tokens = torch.randn(2, 3, 32, 32), load(clip).tokenize(CAPTIONS)
    assert torch.equal(
        encoder.encode_image(pixels), plain.get_image_features(pixel_values=pixels).pooler_output
    )
    assert torch.equal(encoder.encode_text(tokens), plain.get_text_features(input_ids=tokens).pooler_output)


def test_padding_changes_no_text_feature(clip: Path) -> None:
    encoder = load(clip)
    tokens = encoder.tokenize(CAPTIONS[:1])
    shorter = tokens[:, : int((tokens != 0).sum())]
    torch.testing.assert_close(encoder.encode_text(shorter), encoder.encode_text(tokens))


def test_an_eos_id_of_two_pools_at_the_largest_id(tmp_path: Path) -> None:
    encoder = load(clip_folder(tmp_path, text={"eos_token_id": 2}))
    largest = encoder.towers.vocab_size - 1
    assert encoder.towers.eos_id == largest
    tokens = torch.tensor([[1, 5, 2, largest, 0, 0]])
    tail_changed = torch.tensor([[1, 5, 2, largest, 9, 9]])
    middle_changed = torch.tensor([[1, 5, 7, largest, 0, 0]])
    torch.testing.assert_close(encoder.encode_text(tokens), encoder.encode_text(tail_changed))
    assert not torch.allclose(encoder.encode_text(tokens), encoder.encode_text(middle_changed))


def test_logit_scale_is_exponentiated_and_a_scalar(encoder: DualEncoder) -> None:
    assert encoder.logit_scale.shape == ()
    torch.testing.assert_close(encoder.logit_scale, encoder.module.logit_scale.exp().squeeze())


def test_logit_bias_is_siglips_alone(clip: Path, siglip: Path) -> None:
    assert load(clip).logit_bias is None
    assert load(siglip).logit_bias.shape == ()


def test_towers_hold_every_parameter_but_the_scale_once(encoder: DualEncoder) -> None:
    parts = (*encoder.image_tower(), *encoder.text_tower())
    inside = [p for part in parts for p in ([part] if isinstance(part, nn.Parameter) else part.parameters())]
    outside = {
        id(p) for name, p in encoder.module.named_parameters() if name in ("logit_scale", "logit_bias")
    }
    assert sorted(map(id, inside)) == sorted({id(p) for p in encoder.parameters()} - outside)


def test_adapters_that_peft_injects_run_in_the_encoder(encoder: DualEncoder) -> None:
    pixels = torch.randn(1, 3, encoder.image_size, encoder.image_size)
    tokens = torch.randint(4, 90, (1, encoder.context_length))
    before = encoder.encode_image(pixels), encoder.encode_text(tokens)
    model = peft.get_peft_model(encoder.module, RAdapterConfig(init_weights=False))
    after = encoder.encode_image(pixels), encoder.encode_text(tokens)
    assert not any(torch.allclose(old, new, rtol=1e-2) for old, new in zip(before, after, strict=True))
    with model.disable_adapter():
        # torch's attention takes another path where no gradient is wanted: equal but for rounding
        torch.testing.assert_close(encoder.encode_image(pixels), before[0])
    assert not encoder.module.logit_scale.requires_grad


def test_images_are_prepared_by_the_folders_processor_with_pillow(clip: Path, siglip: Path) -> None:
    for folder in (clip, siglip):
        pillow = AutoImageProcessor.from_pretrained(folder, backend="pil")
        expected = pillow(images=IMAGE, return_tensors="pt")["pixel_values"][0]
        pixels = load(folder).preprocess(IMAGE)
        assert torch.equal(pixels, expected)
        assert pixels.shape == (3, 32, 32)


def test_images_of_any_mode_are_prepared(encoder: DualEncoder) -> None:
    assert encoder.preprocess(IMAGE.convert("L")).shape == (3, encoder.image_size, encoder.image_size)


def test_mean_and_std_undo_the_preparation(encoder: DualEncoder) -> None:
    white = encoder.preprocess(Image.new("RGB", (40, 40), "white"))
    mean, std = torch.tensor(encoder.image_mean), torch.tensor(encoder.image_std)
    torch.testing.assert_close(white * std[:, None, None] + mean[:, None, None], torch.ones_like(white))


def test_open_clip_images_are_prepared_as_its_pretrained_tags_say(tiny_architecture: str) -> None:
    import open_clip

    config = open_clip.transform.PreprocessCfg(size=32)
    expected = open_clip.transform.image_transform_v2(config, is_train=False)(IMAGE)
    assert torch.equal(load(f"open_clip:{tiny_architecture}").preprocess(IMAGE), expected)


def test_siglip2_patches_are_its_own_processors_for_a_square_image(siglip2: Path) -> None:
    encoder, square = load(siglip2), IMAGE.resize((64, 64))
    processor = AutoImageProcessor.from_pretrained(siglip2, backend="pil")
    inputs = processor(images=square, return_tensors="pt")
    plain = Siglip2Model.from_pretrained(siglip2, dtype=torch.float32)
    expected = plain.get_image_features(**inputs).pooler_output
    torch.testing.assert_close(encoder.encode_image(encoder.preprocess(square)[None]), expected)


def test_siglip2_takes_other_sizes_in_whole_patches_only(siglip2: Path) -> None:
    encoder = load(siglip2)
    assert encoder.encode_image(torch.randn(2, 3, 16, 24)).shape == (2, encoder.embed_dim)
    with pytest.raises(ValueError, match=r"multiples of 8\. Got 20 x 24"):
        encoder.encode_image(torch.randn(2, 3, 20, 24))


def test_a_timm_vit_has_an_image_tower_only() -> None:
    encoder = load("timm:vit_tiny_patch16_224")
    assert encoder.encode_image(torch.zeros(1, 3, 224, 224)).shape == (1, 192)
    assert encoder.text_tower() == ()
    calls = (encoder.encode_text, torch.zeros(1, 1)), (encoder.tokenize, ["x"]), (encoder.token_counts, ["x"])
    for call, texts in calls:
        with pytest.raises(ModelError, match="image tower only"):
            call(texts)


def test_reader_processes_receive_the_preparation_of_images_without_the_weights(encoder: DualEncoder) -> None:
    sent = pickle.dumps(encoder.towers.preprocess)
    assert len(sent) < 100_000
    assert torch.equal(pickle.loads(sent)(IMAGE), encoder.preprocess(IMAGE))
