import warnings

import pytest
import torch
from reference.adapter_merge import adapted_rows, dropped_samples, merged_linear
from torch import nn

from radapter.adapter import RAdapterConfig, RAdapterLayer, Site
from radapter.adapter.coins import TorchCoins
from radapter.errors import MergeError

WIDTH, INPUTS = 8, 5


def make(r=None, *, bias=True, dtype=torch.float64, **options):
    """A Linear with one random adapter, in evaluation mode."""
    torch.manual_seed(0)
    base = nn.Linear(INPUTS, WIDTH, bias=bias, dtype=dtype)
    layer = RAdapterLayer(base, Site("site", "image", "ffn", WIDTH, 0))
    layer.update_layer("default", RAdapterConfig(r=r, init_weights=False, **options))
    return layer.eval()


def matrix(layer, name="default"):
    if name in layer.radapter_A:
        return layer.radapter_A[name].detach()
    return (layer.radapter_B[name] @ layer.radapter_C[name]).detach()


class Fixed:
    def __init__(self, coins):
        self.coins = torch.tensor(coins)

    def draw(self, site, tower, samples, keep, device):
        return self.coins


@pytest.mark.parametrize("r", [None, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_forward_is_the_paper_s_equation(r, alpha):
    layer, rows = make(r, alpha=alpha), torch.randn(6, INPUTS, dtype=torch.float64)
    expected = adapted_rows(layer.base_layer(rows), matrix(layer), 0.1, alpha)
    assert torch.allclose(layer(rows), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("r", [None, 3])
def test_merge_is_the_paper_s_equation_for_weight_and_bias(r):
    layer = make(r, alpha=0.3)
    weight, bias = merged_linear(layer.weight.detach(), layer.bias.detach(), matrix(layer), 0.1, 0.3)
    layer.merge()
    assert torch.allclose(layer.weight, weight, rtol=1e-13, atol=1e-13)
    assert torch.allclose(layer.bias, bias, rtol=1e-13, atol=1e-13)


def test_a_layer_without_bias_merges_without_bias():
    layer, rows = make(bias=False), torch.randn(6, INPUTS, dtype=torch.float64)
    expected = layer(rows)
    layer.merge()
    assert layer.bias is None
    assert torch.allclose(layer(rows), expected, rtol=1e-13, atol=1e-13)


def test_affine_is_identity_plus_the_scaled_matrix():
    layer = make(alpha=0.5)
    expected = torch.eye(WIDTH, dtype=torch.float64) + 0.5 * 0.1 * matrix(layer)
    assert torch.allclose(layer.affine(), expected)
    assert make(dtype=torch.bfloat16).affine().dtype == torch.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_alpha_rescaling_is_interpolation_of_base_and_merged_weights(dtype, tolerance):
    layer = make(dtype=dtype)
    base = layer.weight.detach().clone()
    layer.merge()
    tuned = layer.weight.detach().clone()
    layer.unmerge()
    layer.configs["default"].alpha = 0.3
    layer.merge()
    assert torch.allclose(layer.weight, base + 0.3 * (tuned - base), rtol=tolerance, atol=tolerance)


def test_training_uses_alpha_one():
    layer, rows = make(alpha=0.3, adapter_drop=0.0), torch.randn(6, INPUTS, dtype=torch.float64)
    got = layer.train()(rows)
    layer.configs["default"].alpha = 1.0
    assert torch.equal(got, layer.eval()(rows))


def test_merge_twice_warns_and_changes_nothing():
    layer = make()
    layer.merge()
    once = layer.weight.detach().clone()
    with pytest.warns(UserWarning, match="already merged"):
        layer.merge()
    assert torch.equal(layer.weight, once)


def test_a_second_adapter_merges_on_top_and_unmerging_restores_bitwise():
    layer, rows = make(dtype=torch.float32), torch.randn(6, INPUTS)
    base = [layer.weight.detach().clone(), layer.bias.detach().clone()]
    layer.update_layer("second", RAdapterConfig(init_weights=False, r=2))
    layer.set_adapter(["default", "second"])
    expected = layer(rows)
    layer.merge(adapter_names=["default"])
    with pytest.warns(UserWarning, match="additionally merging second"):
        layer.merge(adapter_names=["second"])
    assert torch.allclose(layer(rows), expected, atol=1e-6)
    layer.unmerge()
    assert torch.equal(layer.weight, base[0])
    assert torch.equal(layer.bias, base[1])


def test_unmerging_what_is_not_merged_warns():
    with pytest.warns(UserWarning, match="Already unmerged"):
        make().unmerge()


def test_safe_merge_of_non_finite_weights_raises_and_changes_nothing():
    layer = make()
    layer.radapter_A["default"].data[0, 0] = torch.inf
    before = layer.weight.detach().clone()
    with pytest.raises(MergeError, match="'default' gives non-finite weights at site"):
        layer.merge(safe_merge=True)
    assert torch.equal(layer.weight, before)
    assert not layer.merged


def test_unmerging_follows_a_change_of_dtype():
    layer = make(dtype=torch.float32)
    before = layer.weight.detach().clone()
    layer.merge()
    layer.to(torch.float64)
    layer.unmerge()
    assert torch.equal(layer.weight, before.double())


def test_dropped_samples_are_dropped_for_all_tokens_and_kept_ones_are_scaled():
    layer, tokens = make(adapter_drop=0.25), torch.randn(4, 3, INPUTS, dtype=torch.float64)
    gamma = [True, False, False, True]
    layer.coin_source = Fixed(gamma)
    got = layer.train()(tokens)
    expected = dropped_samples(layer.base_layer(tokens), matrix(layer), 0.1, torch.tensor(gamma), 0.25)
    assert torch.allclose(got, expected, rtol=1e-13, atol=1e-13)
    assert torch.equal(got[1:3], layer.base_layer(tokens)[1:3])


@pytest.mark.parametrize("r", [None, 3])
@pytest.mark.parametrize("gamma", [[True, False, True], [False] * 3, [True] * 3])
def test_gradients_with_dropping_are_those_of_the_equation(r, gamma):
    layer, tokens = make(r, adapter_drop=0.25).train(), torch.randn(3, 2, INPUTS, dtype=torch.float64)
    layer.coin_source = Fixed(gamma)
    trained = [value for name, value in layer.named_parameters() if "radapter" in name]
    got = torch.autograd.grad(layer(tokens).square().sum(), trained)
    weights = torch.tensor(gamma).double().view(3, 1, 1) / 0.75
    factor = (
        layer.radapter_A["default"]
        if r is None
        else layer.radapter_B["default"] @ layer.radapter_C["default"]
    )
    output = layer.base_layer(tokens)
    literal = output + weights * layer.radapter_s["default"] * (output @ factor)
    expected = torch.autograd.grad(literal.square().sum(), trained)
    assert all(torch.allclose(*pair, rtol=1e-12, atol=1e-12) for pair in zip(got, expected, strict=True))


def test_only_kept_samples_are_computed():
    layer, tokens = make(adapter_drop=0.5, dtype=torch.float32).train(), torch.randn(8, 3, INPUTS)
    layer.coin_source = Fixed([True] + [False] * 7)
    with torch.profiler.profile(with_flops=True) as profile:
        layer(tokens)
    # the base's 8 samples, and the branch of one
    expected = 2 * 8 * 3 * INPUTS * WIDTH + 2 * 1 * 3 * WIDTH * WIDTH
    assert (
        sum(event.flops for event in profile.key_averages() if event.key in ("aten::mm", "aten::addmm"))
        == expected
    )


def test_dropping_is_exact_in_expectation():
    layer, tokens = make(adapter_drop=0.5).train(), torch.randn(2, 3, INPUTS, dtype=torch.float64)
    cases = []
    for gamma in ([True, True], [True, False], [False, True], [False, False]):
        layer.coin_source = Fixed(gamma)
        cases.append(layer(tokens))
    assert torch.allclose(torch.stack(cases).mean(0), layer.eval()(tokens))


def test_evaluation_draws_no_coins():
    layer = make(adapter_drop=0.9)
    layer.coin_source = Fixed([False] * 2)
    rows = torch.randn(2, INPUTS, dtype=torch.float64)
    assert not torch.equal(layer(rows), layer.base_layer(rows))


def test_attention_keeps_its_attributes_and_its_weights_output():
    attention = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.0)
    layer = RAdapterLayer(attention, Site("attn", "image", "attention", 8, 0)).train()
    layer.update_layer("default", RAdapterConfig(init_weights=False, adapter_drop=0.5))
    assert layer.batch_first
    assert layer.in_proj_weight is attention.in_proj_weight
    tokens = torch.randn(3, 4, 8)
    layer.coin_source = Fixed([True, False, False])
    output, weights = layer(tokens, tokens, tokens)
    plain, plain_weights = attention(tokens, tokens, tokens)
    assert torch.equal(weights, plain_weights)
    assert torch.equal(output[1:], plain[1:])
    layer.coin_source = Fixed([False])  # an unbatched call is one sample
    assert torch.equal(
        layer(tokens[0], tokens[0], tokens[0])[0], attention(tokens[0], tokens[0], tokens[0])[0]
    )


def test_attention_without_bias_merges():
    attention = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    layer = RAdapterLayer(attention, Site("attn", "image", "attention", 8, 0))
    layer.update_layer("default", RAdapterConfig(init_weights=False))
    tokens = torch.randn(3, 4, 8)
    expected = layer.eval()(tokens, tokens, tokens)[0]
    layer.merge()
    assert torch.allclose(layer(tokens, tokens, tokens)[0], expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_base_s_dtype_and_trains_in_float32(dtype):
    layer, rows = make(dtype=torch.float32, adapter_drop=0.0).train(), torch.randn(4, INPUTS)
    with torch.autocast("cpu", dtype):
        output = layer(rows)
        assert output.dtype == layer.base_layer(rows).dtype == dtype
    output.float().square().sum().backward()
    assert layer.radapter_A["default"].grad.dtype == torch.float32
    assert torch.allclose(output.float(), layer(rows), atol=3e-2)


def test_autocast_leaves_a_float32_output_alone():
    layer = make(dtype=torch.float32)
    layer.base_layer.register_forward_hook(lambda module, inputs, output: output.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(4, INPUTS)).dtype == torch.float32


def test_a_layer_starts_in_the_mode_of_its_module():
    assert not RAdapterLayer(nn.Linear(2, 2).eval(), Site("site", "image", "ffn", 2, 0)).training


@pytest.mark.parametrize("r", [None, 4])
def test_random_matrices_have_variance_one_over_width(r):
    layer = RAdapterLayer(nn.Linear(2, 400), Site("site", "image", "ffn", 400, 0))
    layer.update_layer("default", RAdapterConfig(r=r, init_weights=False))
    # 5 %: the spread of a sample variance, largest for the 2 x 4 x 400 draws of the factors
    assert matrix(layer).var().item() * 400 == pytest.approx(1.0, rel=0.1 if r else 0.02)


def test_compiled_layer_equals_the_eager_one_in_training():
    layer, tokens = make(adapter_drop=0.5, dtype=torch.float32).train(), torch.randn(4, 3, INPUTS)
    layer.coin_source = Fixed([True, False, True, False])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.compile's own deprecations
        compiled = torch.compile(layer, backend="eager")
        assert torch.equal(compiled(tokens), layer(tokens))
        assert torch.equal(compiled.eval()(tokens), layer.eval()(tokens))


def test_gradient_checkpointing_replays_torch_s_coins():
    layer, tokens = make(adapter_drop=0.5).train(), torch.randn(16, 3, INPUTS, dtype=torch.float64)
    layer.coin_source = TorchCoins()
    trained = [layer.radapter_A["default"], layer.radapter_s["default"]]
    torch.manual_seed(3)
    expected = torch.autograd.grad(layer(tokens).square().sum(), trained)
    torch.manual_seed(3)
    replayed = torch.utils.checkpoint.checkpoint(layer, tokens, use_reentrant=False)
    got = torch.autograd.grad(replayed.square().sum(), trained)
    assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))


def test_affine_is_not_rounded_by_autocast():
    layer = make(3, dtype=torch.float32)
    expected = layer.affine()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.affine(), expected)


def test_drop_path_drops_the_whole_branch_of_a_sample():
    layer, tokens = (
        make(adapter_drop=0.25, drop_kind="drop-path"),
        torch.randn(4, 3, INPUTS, dtype=torch.float64),
    )
    layer.coin_source = Fixed([1.0, 0.0, 1.0, 0.0])
    base = layer.base_layer(tokens)
    whole = base + 0.1 * base @ matrix(layer)
    expected = whole / 0.75 * torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)[:, None, None]
    assert torch.allclose(layer.train()(tokens), expected, rtol=1e-13, atol=1e-13)


def test_dropout_drops_elements_of_the_adapter_s_branch_alone():
    layer, tokens = (
        make(adapter_drop=0.25, drop_kind="dropout"),
        torch.randn(64, 9, INPUTS, dtype=torch.float64),
    )
    base = layer.base_layer(tokens)
    branch = 0.1 * base @ matrix(layer)
    ratio = (layer.train()(tokens) - base) / branch
    dropped = ratio.abs() < 1e-9
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.allclose(ratio[~dropped], torch.full_like(ratio[~dropped], 1 / 0.75), rtol=1e-9)


@pytest.mark.parametrize("kind", ["adapter", "dropout", "drop-path"])
def test_nothing_is_dropped_in_evaluation(kind):
    layer, rows = make(adapter_drop=0.5, drop_kind=kind), torch.randn(6, INPUTS, dtype=torch.float64)
    assert torch.allclose(
        layer(rows), adapted_rows(layer.base_layer(rows), matrix(layer), 0.1, 1.0), rtol=1e-13
    )


@pytest.mark.parametrize("r", [None, 3])
def test_at_alpha_0_an_adapter_that_is_not_finite_merges_to_the_base(r):
    layer = make(r, alpha=0.0)
    weight, bias = layer.weight.clone(), layer.bias.clone()
    with torch.no_grad():
        for parameter in (*layer.radapter_A.values(), *layer.radapter_C.values()):
            parameter.fill_(float("inf"))
    assert torch.equal(layer.affine(), torch.eye(WIDTH, dtype=torch.float64))
    layer.merge(safe_merge=True)
    assert torch.equal(layer.weight, weight)
    assert torch.equal(layer.bias, bias)


def test_a_wrapped_attention_has_in_features_and_out_features():
    attention = nn.MultiheadAttention(WIDTH, 2)
    layer = RAdapterLayer(attention, Site("site", "image", "attention", WIDTH, 1))
    assert (layer.in_features, layer.out_features) == (WIDTH, WIDTH)
    assert (make().in_features, make().out_features) == (INPUTS, WIDTH)
