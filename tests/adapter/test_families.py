import peft
import pytest
import torch
from adapter.families import FAMILIES, OPEN_CLIP, build, relative_difference

from radapter.adapter import RAdapterConfig, RAdapterLayer, set_alpha, use_coins


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return build(request.param)


@pytest.fixture(
    params=[pytest.param(None, id="full rank"), pytest.param(4, id="r = 4", marks=pytest.mark.slow)]
)
def adapted(request, family):
    """A model of the family with random adapters, its features, and the base's features."""
    module, features = family
    with torch.no_grad():
        base = features()
        model = peft.get_peft_model(module, RAdapterConfig(r=request.param, init_weights=False)).eval()
        yield model, features, base
    model.unload()


def test_random_adapters_move_the_features_by_one_per_cent(adapted):
    _, features, base = adapted
    assert all(relative_difference(got, was) > 0.01 for got, was in zip(features(), base, strict=True))


def test_merged_equals_adapted_for_every_alpha_and_unmerging_restores_bitwise(adapted):
    model, features, _ = adapted
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    for alpha in (0.3, 1.0):
        with set_alpha(model, alpha):
            expected = features()
            model.merge_adapter()
        got = features()
        model.unmerge_adapter()
        # 1e-5: float32 rounding of products of up to 4096 terms
        assert all(relative_difference(*pair) < 1e-5 for pair in zip(got, expected, strict=True))
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_alpha_zero_is_the_base_model_bitwise(adapted):
    model, features, base = adapted
    with set_alpha(model, 0.0):
        assert all(torch.equal(*pair) for pair in zip(features(), base, strict=True))
        model.merge_adapter()
        assert all(torch.equal(*pair) for pair in zip(features(), base, strict=True))
        model.unmerge_adapter()


class FirstSampleKept:
    def draw(self, site, tower, samples, keep, device):
        return torch.arange(samples, device=device) == 0


def test_dropping_drops_whole_samples_along_the_stated_axis(adapted):
    model, features, base = adapted
    for layer in model.modules():
        if isinstance(layer, RAdapterLayer):
            layer.train()  # the layers alone: a tower's own dropout would hide the effect
            layer.base_layer.eval()
    with use_coins(model, FirstSampleKept()):
        got = features()
    model.eval()
    for mixed, was in zip(got, base, strict=True):
        # 1e-5: a kept neighbour changes the kernels' blocking, not the sample
        assert relative_difference(mixed[1:], was[1:]) < 1e-5
        assert relative_difference(mixed[:1], was[:1]) > 0.01


def test_zero_initialised_adapters_are_the_base_model_bitwise(family):
    module, features = family
    with torch.no_grad():
        base = features()
        model = peft.get_peft_model(module, RAdapterConfig()).eval()
        got = features()
        model.unload()
    assert all(torch.equal(*pair) for pair in zip(got, base, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["ViT-B-32", "CLIPModel", "timm ViT"])
def test_merged_equals_adapted_in_half_precision(name, dtype):
    module, features = build(name)
    module.to(dtype)
    model = peft.get_peft_model(module, RAdapterConfig(init_weights=False)).eval()
    with torch.no_grad():
        expected = features()
        model.merge_adapter()
        got = features()
    assert all(value.dtype == dtype for value in (*got, *expected))
    # 1e-2: about two steps of bfloat16
    assert all(relative_difference(*pair) < 1e-2 for pair in zip(got, expected, strict=True))


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_no_weight_of_a_random_model_is_what_the_memory_held(name):
    # Under this switch torch fills what nobody initialises with NaN.
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        model, _ = build(name)
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert [n for n, p in model.named_parameters() if not torch.isfinite(p).all()] == []
