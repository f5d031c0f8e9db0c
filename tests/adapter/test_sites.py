import open_clip
import pytest
import timm
import torch
import transformers
from adapter.families import OPEN_CLIP, build, open_clip_model
from torch import nn

from radapter.adapter import Site, find_sites
from radapter.errors import ConfigError, SiteError

# true configurations: blocks and width of the image tower, of the text tower
SIZES = {
    "ViT-B-32": (12, 768, 12, 512),
    "ViT-B-16": (12, 768, 12, 512),
    "ViT-L-14": (24, 1024, 12, 768),
    "ViT-B-16-SigLIP": (12, 768, 12, 768),
    "ViT-B-16-SigLIP2": (12, 768, 12, 768),
    "EVA02-B-16": (12, 768, 12, 512),
    "MobileCLIP2-B": (12, 768, 12, 512),
    "coca_ViT-B-32": (12, 768, 12, 512),
}


def on_meta(name):
    with torch.device("meta"):
        return open_clip_model(open_clip.get_model_config(name))


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_every_block_of_both_towers_has_two_sites_and_nothing_else_has_any(name):
    sites = find_sites(on_meta(name))
    image = [site for site in sites if site.tower == "image"]
    text = [site for site in sites if site.tower == "text"]
    image_blocks, image_width, text_blocks, text_width = SIZES[name]
    assert [site.kind for site in image] == ["attention", "ffn"] * image_blocks
    assert [site.kind for site in text] == ["attention", "ffn"] * text_blocks
    assert {site.width for site in image} == {image_width}
    assert {site.width for site in text} == {text_width}
    assert [site.block for site in image] == [block for block in range(image_blocks) for _ in range(2)]


def test_the_names_of_the_sites_are_those_of_the_table():
    names = {name: [site.name for site in find_sites(on_meta(name))] for name in ("ViT-B-32", "EVA02-B-16")}
    assert names["ViT-B-32"][:2] == [
        "visual.transformer.resblocks.0.attn",
        "visual.transformer.resblocks.0.mlp.c_proj",
    ]
    assert names["EVA02-B-16"][:2] == ["visual.trunk.blocks.0.attn.proj", "visual.trunk.blocks.0.mlp.fc2"]


@pytest.mark.parametrize("name", ["CLIPModel", "SiglipModel", "Siglip2Model"])
def test_transformers_models_have_sites_in_encoder_layers_only(name):
    sites = find_sites(build(name)[0])
    assert len(sites) == 8
    assert all(
        site.name.endswith(("self_attn.out_proj", "mlp.fc2")) and ".layers." in site.name for site in sites
    )


def test_a_plain_timm_vit_has_an_image_tower_only():
    assert {site.tower for site in find_sites(build("timm ViT")[0])} == {"image"}


def test_sequence_first_blocks_have_their_samples_on_axis_one():
    assert {site.sample_axis for site in find_sites(build("open_clip sequence first")[0])} == {1}
    assert {site.sample_axis for site in find_sites(on_meta("ViT-B-32"))} == {0}


def test_a_tower_inside_a_user_s_module_is_found():
    model = nn.Sequential(build("timm ViT")[0], nn.Linear(192, 3))
    assert find_sites(model)[0] == Site("0.blocks.0.attn.proj", "image", "attention", 192, 0, 0)


def test_towers_select_the_tower():
    assert {site.tower for site in find_sites(on_meta("ViT-B-32"), towers=("text",))} == {"text"}


def test_a_resnet_tower_is_an_error_unless_it_is_left_out():
    model = on_meta("RN50")
    with pytest.raises(
        SiteError, match=r"image tower 'visual', a ModifiedResNet. Looked for .*towers=\('text',\)"
    ):
        find_sites(model)
    assert len(find_sites(model, towers=("text",))) == 24


def test_a_model_of_no_known_family_is_an_error_that_says_what_was_looked_for():
    with torch.device("meta"):
        model = timm.create_model("resnet18")
    with pytest.raises(
        SiteError, match=r"no adapter site in 'ResNet'.*Looked for.*attn.proj.*target_modules"
    ):
        find_sites(model)


@pytest.mark.parametrize(
    ("make", "norm"),
    [
        (lambda: timm.create_model("vit_relpos_small_patch16_224"), None),
        (
            lambda: timm.models.VisionTransformer(
                block_fn=timm.models.vision_transformer.ResPostBlock, depth=1
            ),
            "norm1",
        ),
        (lambda: timm.models.Eva(depth=1, use_post_norm=True), "norm1"),
        (lambda: open_clip.transformer.VisionTransformer(32, 8, 32, 1, 2, 4.0, scale_attn=True), "ln_attn"),
    ],
)
def test_a_norm_before_the_residual_addition_is_an_error_that_names_it(make, norm):
    with torch.device("meta"):
        model = make()
    with pytest.raises(SiteError, match=f"{norm} .*no exact merge" if norm else "Looked for"):
        find_sites(model)


def test_a_transformer_encoder_is_an_error_that_names_its_fast_path():
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, batch_first=True), 1, enable_nested_tensor=False
    )
    with pytest.raises(SiteError, match="evaluation bypasses wrapped children"):
        find_sites(encoder)


def test_an_unknown_tower_name_is_an_error_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'imge'. Did you mean 'image'"):
        find_sites(on_meta("ViT-B-32"), towers=("imge",))


def test_quantised_weights_are_an_error():
    model = build("CLIPModel")[0]
    linear = model.text_model.encoder.layers[0].mlp.fc2
    linear.weight = nn.Parameter(torch.zeros(32, 64, dtype=torch.int8), requires_grad=False)
    with pytest.raises(
        SiteError, match=r"mlp.fc2 must be an nn.Linear or nn.MultiheadAttention with a floating"
    ):
        find_sites(model)


def test_single_towers_of_transformers_have_sites():
    config = build("CLIPModel")[0].config
    text = transformers.CLIPTextModelWithProjection(config.text_config)
    assert {site.tower for site in find_sites(text)} == {"text"}
