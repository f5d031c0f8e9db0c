"""Mask prompts equal towers written out by hand; they are trained, saved and loaded."""

import pytest
import torch
from models.small import siglip_folder
from reference import mask_prompts as reference
from reference import regions

import radapter
from radapter.errors import ConfigError, ModelError
from radapter.segmentation import MaskPrompts


def crops(encoder, count: int = 5):
    size = encoder.image_size
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size, size, generator=generator), regions.random_masks(
        count, size, size, seed=8
    )


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("name", "literal"),
    [("encoder", reference.transformers_clip), ("open_clip_encoder", reference.open_clip)],
)
def test_features_equal_a_tower_written_out(name: str, literal, depth: int, request):
    encoder = request.getfixturevalue(name).double()
    prompts = MaskPrompts(encoder, depth=depth).double()
    pixels, masks = crops(encoder)
    with torch.no_grad():
        ours = prompts.encode_image(encoder, pixels.double(), masks)
        expected = torch.stack(
            [
                literal(encoder.module, p, m, prompts.tokens)
                for p, m in zip(pixels.double(), masks, strict=True)
            ]
        )
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_a_region_that_fills_its_crop_is_left_as_it_is(encoder):
    pixels, _ = crops(encoder)
    with torch.no_grad():
        prompted = MaskPrompts(encoder).encode_image(encoder, pixels, torch.ones(5, 48, 48).bool())
        assert torch.equal(prompted, encoder.encode_image(pixels))


def test_one_pixel_keeps_its_patch(encoder):
    prompts = MaskPrompts(encoder, depth=1)
    pixels, masks = torch.zeros(1, 3, 48, 48), torch.zeros(1, 48, 48).bool()
    masks[0, 9, 17] = True
    with torch.no_grad():
        before = prompts.encode_image(encoder, pixels, masks)
        inside, outside = pixels.clone(), pixels.clone()
        inside[0, :, 8, 16] = 3.0  # the same patch of 8 x 8
        outside[0, :, 8, 15] = 3.0
        assert not torch.equal(prompts.encode_image(encoder, inside, masks), before)
        assert torch.equal(prompts.encode_image(encoder, outside, masks), before)


def test_the_tower_is_as_it_was_afterwards_also_after_an_error(encoder):
    pixels, masks = crops(encoder)
    prompts = MaskPrompts(encoder)
    with torch.no_grad():
        before = encoder.encode_image(pixels)
        prompts.encode_image(encoder, pixels, masks)
        with pytest.raises(ValueError, match="size"):
            prompts.encode_image(encoder, pixels[..., :40, :40], masks)
        assert torch.equal(encoder.encode_image(pixels), before)


def test_gradients_reach_the_tokens_and_a_step_changes_the_features(encoder):
    encoder.requires_grad_(False)
    prompts = MaskPrompts(encoder)
    assert [name for name, _ in prompts.named_parameters()] == ["tokens"]
    assert prompts.tokens.shape == (3, 36, 128)
    pixels, masks = crops(encoder)
    features = prompts.encode_image(encoder, pixels, masks)
    features.square().sum().backward()
    assert all(prompts.tokens.grad[depth].abs().sum() > 0 for depth in range(3))
    torch.optim.SGD(prompts.parameters(), lr=1e-3).step()
    assert not torch.equal(prompts.encode_image(encoder, pixels, masks), features)


def test_adapters_act_below_mask_prompts(encoder):
    from peft import get_peft_model

    from radapter import RAdapterConfig

    pixels, masks = crops(encoder)
    prompts = MaskPrompts(encoder)
    with torch.no_grad():
        before = prompts.encode_image(encoder, pixels, masks)
        adapted = get_peft_model(encoder.module, RAdapterConfig())
        assert torch.equal(prompts.encode_image(encoder, pixels, masks), before)  # adapters start at zero
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad:
                parameter.add_(
                    0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
                )
        assert not torch.allclose(prompts.encode_image(encoder, pixels, masks), before, atol=1e-3)


def test_the_start_is_drawn_from_the_seed_alone(encoder):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one, same, other = (MaskPrompts(encoder, seed=seed).tokens for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.std().item() == pytest.approx(0.02, rel=0.05)


def test_saved_prompts_are_loaded_as_they_were(encoder, tmp_path):
    prompts = MaskPrompts(encoder, depth=2, seed=3)
    prompts.save(tmp_path / "prompts.safetensors")
    assert torch.equal(MaskPrompts.load(tmp_path / "prompts.safetensors", encoder).tokens, prompts.tokens)


def test_prompts_of_another_tower_or_file_are_refused(encoder, open_clip_encoder, tmp_path):
    MaskPrompts(open_clip_encoder).save(tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="must fit the image tower"):
        MaskPrompts.load(tmp_path / "other.safetensors", encoder)
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="whole safetensors"):
        MaskPrompts.load(tmp_path / "broken.safetensors", encoder)
    with pytest.raises(ModelError, match="whole safetensors"):
        MaskPrompts.load(tmp_path / "absent.safetensors", encoder)
    radapter.storage.save_tensors(tmp_path / "weights.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(ModelError, match="of kind None"):
        MaskPrompts.load(tmp_path / "weights.safetensors", encoder)


@pytest.mark.parametrize("depth", [0, 5])
def test_a_depth_above_the_tower_s_is_refused(encoder, depth: int):
    with pytest.raises(ConfigError, match=r"in \[1, 4\]"):
        MaskPrompts(encoder, depth=depth)


def test_towers_of_other_kinds_are_refused_by_name(tmp_path):
    for name in (str(siglip_folder(tmp_path / "siglip")), "open_clip:RN50"):
        with pytest.raises(ModelError, match=f"'{name}' has"):
            MaskPrompts(radapter.load(name))
