"""R-Adapter after every Linear of the blocks."""

import open_clip
import peft
import pytest
import torch
from adapter.families import build, relative_difference
from models.small import OPEN_CLIP
from reference.all_linear import adapted_attention
from torch import nn

from radapter.adapter import RAdapterConfig, RAdapterLayer, Site, set_alpha, use_coins
from radapter.adapter.sites import linear_sites
from radapter.errors import ConfigError
from radapter.losses import bound_loss
from radapter.methods import METHODS, count_trained
from radapter.methods.all_linear import AllLinearSettings
from radapter.zeroshot import LinearHead

WIDTH, HEADS, SAMPLES, PARTS = 8, 2, 5, ("q", "k", "v", "out")


def attention(own: bool, r=None, **options) -> RAdapterLayer:
    """One attention of either kind in float64, with random adapters."""
    torch.manual_seed(0)
    kind = (
        open_clip.transformer.Attention(WIDTH, HEADS)
        if own
        else nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    )
    nn.init.normal_(kind.in_proj_bias)
    nn.init.normal_(kind.out_proj.bias)
    layer = RAdapterLayer(kind.double(), Site("attn", "image", "attention", WIDTH, 0, 0, "", PARTS))
    layer.update_layer("default", RAdapterConfig(r=r, init_weights=False, sites="linears", **options))
    nn.init.uniform_(layer.radapter_s["default"], 0.1, 0.3)
    return layer.double().eval()


def called(layer, x):
    out = layer(x) if isinstance(layer.base_layer, open_clip.transformer.Attention) else layer(x, x, x)
    return out[0] if isinstance(out, tuple) else out


def expected(layer, x, gamma):
    base = layer.base_layer
    pairs = [*zip(base.in_proj_weight.chunk(3), base.in_proj_bias.chunk(3), strict=True)]
    pairs.append((base.out_proj.weight, base.out_proj.bias))
    if "default" in layer.radapter_A:
        matrices = layer.radapter_A["default"]
    else:
        matrices = layer.radapter_B["default"] @ layer.radapter_C["default"]
    return adapted_attention(x, pairs, matrices, layer.radapter_s["default"], heads=HEADS, gamma=gamma)


both = pytest.mark.parametrize("own", [False, True], ids=["nn.MultiheadAttention", "open_clip.Attention"])
X = torch.randn(SAMPLES, 3, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@both
@pytest.mark.parametrize("r", [None, 3])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_an_attention_has_an_adapter_after_each_projection(own, r, alpha):
    layer = attention(own, r, alpha=alpha)
    found = expected(layer, X, torch.full((SAMPLES, 4), alpha, dtype=torch.float64))
    assert torch.allclose(called(layer, X), found, rtol=1e-12, atol=1e-12)
    layer.merge()
    assert torch.allclose(called(layer, X), found, rtol=1e-12, atol=1e-12)


class Fixed:
    """Coins by site: the projections of an attention share one."""

    def __init__(self, of_site):
        self.of_site = of_site

    def draw(self, site, tower, samples, keep, device):
        return torch.tensor(self.of_site[site])


@both
def test_a_dropped_sample_has_no_branch_and_the_others_are_divided_by_what_is_kept(own):
    layer = attention(own, adapter_drop=0.25).train()
    if not own:
        layer.base_layer.eval()  # its fast path and the slow one must agree
    inside, out = [True, False, True, True, False], [True, True, False, True, False]
    with use_coins(layer, Fixed({"attn.in_proj": inside, "attn": out})):
        found = called(layer, X)
    gamma = torch.tensor([[a, a, a, b] for a, b in zip(inside, out, strict=True)]).double() / 0.75
    assert torch.allclose(found, expected(layer, X, gamma), rtol=1e-12, atol=1e-12)


@both
def test_every_matrix_and_scale_gets_a_gradient_when_samples_are_dropped(own):
    layer = attention(own, adapter_drop=0.25).train()
    called(layer, X).square().sum().backward()
    for store in (layer.radapter_A, layer.radapter_s):
        assert (store["default"].grad.reshape(4, -1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("mask_of_heads", [False, True])
def test_a_mask_goes_with_its_samples(mask_of_heads):
    layer = attention(False, adapter_drop=0.5).train()
    mask = torch.full((3, 3), float("-inf"), dtype=torch.float64).triu(1)
    given = mask.expand(SAMPLES * HEADS, 3, 3) if mask_of_heads else mask
    kept = {"attn.in_proj": [True, False] * 2 + [True], "attn": [True] * SAMPLES}
    with use_coins(layer, Fixed(kept)):
        whole, weights = layer(X, X, X, attn_mask=given, need_weights=True)
        first, _ = layer(X[:, :1], X[:, :1], X[:, :1])
    assert torch.allclose(whole[:, :1], first)  # the first token sees itself alone
    assert weights.shape == (SAMPLES, 3, 3)
    assert (weights.triu(1) == 0).all()


SEVERAL = (
    "ViT-B-32",
    "EVA02-B-16",
    "CLIPModel",
    "timm ViT",
    "open_clip sequence first",
    "open_clip custom blocks",
)


@pytest.mark.parametrize("family", SEVERAL)
def test_merged_equals_adapted_and_unmerging_restores_bitwise_in_every_family(family):
    module, features = build(family)
    with torch.no_grad():
        base = features()
        model = peft.get_peft_model(module, RAdapterConfig(sites="linears", r=2, init_weights=False)).eval()
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        with set_alpha(model, 0.5):
            adapted = features()
            model.merge_adapter()
        merged = features()
        model.unmerge_adapter()
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        with set_alpha(model, 0.0):
            again = features()
    for got, wanted, was, none in zip(merged, adapted, base, again, strict=True):
        assert relative_difference(got, wanted) < 1e-5  # float32 rounding of products
        assert relative_difference(got, was) > 0.01
        assert torch.equal(none, was)


def test_the_sites_of_a_block_are_its_linears():
    for name, count in (("CLIPModel", 6), ("timm ViT", 4), ("ViT-B-32", 3), ("EVA02-B-16", 6)):
        sites = [site for site in linear_sites(build(name)[0]) if (site.tower, site.block) == ("image", 0)]
        hidden = {"EVA02-B-16": 2}.get(name, 1)  # SwiGLU has two
        assert sum(site.kind == "hidden" for site in sites) == hidden
        assert sum(max(1, len(site.parts)) for site in sites) == 5 + hidden
        assert len(sites) == count + hidden - 1


@pytest.mark.parametrize("name", ["world:tiny", "open_clip:tiny-ViT"])
@pytest.mark.parametrize("hidden", [None, 0, 3])
def test_parameters_are_those_of_the_documentation(name, hidden, monkeypatch):
    import radapter

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", OPEN_CLIP)
    encoder = radapter.load(name)
    blocks = [site.width for site in linear_sites(encoder.module) if site.kind == "ffn"]
    hidden_width = {site.width for site in linear_sites(encoder.module) if site.kind == "hidden"}
    assert hidden_width == {4 * d for d in blocks}
    settings = AllLinearSettings(r_hidden=hidden)
    learner = built(encoder, settings)
    own = {None: lambda d: 16 * d * d + 1, 0: lambda d: 0, 3: lambda d: 8 * d * 3 + 1}[hidden]
    assert count_trained(learner) == sum(5 * d * d + 5 + own(d) for d in blocks)


def built(encoder, settings):
    method = METHODS["r-adapter:all-linear"]
    loss = bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    head = LinearHead(torch.ones(2, encoder.embed_dim))
    return method.build(encoder, head=head, loss=loss, settings=method.settings(settings)).learner


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sites": "everything"}, "sites must be one of outputs, linears"),
        ({"sites": "linears", "target_modules": ["fc1"]}, "target_modules must be None"),
        ({"sites": "linears", "drop_kind": "drop-path"}, "drop_kind must be 'adapter'"),
        ({"r_hidden": 3}, "r_hidden must be None unless sites is 'linears'"),
        ({"sites": "linears", "r_hidden": -1}, "r_hidden must be None, for r, or an int >= 0"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        RAdapterConfig(**options)


def test_a_rank_above_the_width_of_the_hidden_layer_is_refused(encoder):
    with pytest.raises(ConfigError, match="r_hidden must be None or an int in"):
        built(encoder, AllLinearSettings(r_hidden=10_000))
