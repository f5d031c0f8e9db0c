"""LoRA on attentions with one matrix for queries, keys and values: `nn.MultiheadAttention` and open_clip's own."""

import copy

import open_clip
import peft
import pytest
import torch
from adapter.families import build, relative_difference
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from radapter.errors import MergeError
from radapter.methods.lora import lora_targets
from radapter.methods.lora_attention import AttentionLora, use_separate_pairs

WIDTH, RANK = 8, 2


class Tower(nn.Module):
    """One attention of either kind, batch first."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        kind = (
            open_clip.transformer.Attention(WIDTH, 2)
            if own
            else nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        )
        self.attn = kind.requires_grad_(False)
        self.eval()  # in training mode nn.MultiheadAttention computes the same by another route

    def forward(self, x):
        base = self.attn.get_base_layer() if isinstance(self.attn, AttentionLora) else self.attn
        return self.attn(x, x, x)[0] if isinstance(base, nn.MultiheadAttention) else self.attn(x)


def config(module, **options) -> LoraConfig:
    found = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["attn"], **options)
    use_separate_pairs(found, module)
    return found


def adapted(own: bool, **options) -> PeftModel:
    tower = Tower(own)
    model = get_peft_model(tower, config(tower, **options))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return model.eval()


both = pytest.mark.parametrize("own", [False, True], ids=["nn.MultiheadAttention", "open_clip.Attention"])
X = torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(1))


@both
def test_q_k_and_v_have_a_pair_each(own):
    model = adapted(own)
    layer = model.base_model.model.attn
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert (down.shape, up.shape) == ((3 * RANK, WIDTH), (3 * WIDTH, RANK))
    expected = [up[i * WIDTH : (i + 1) * WIDTH] @ down[i * RANK : (i + 1) * RANK] for i in range(3)]
    assert torch.allclose(layer.get_delta_weight("default"), torch.cat(expected), atol=1e-6)
    # four projections with a pair (A, B) each, as separate Linears have
    assert model.get_nb_trainable_parameters()[0] == 4 * 2 * RANK * WIDTH


@both
def test_the_updates_are_those_of_four_linear_layers(own):
    model = adapted(own)
    layer = model.base_model.model.attn
    plain = Tower(own)
    with torch.no_grad():
        plain.attn.in_proj_weight += layer.get_delta_weight("default")
        plain.attn.out_proj.weight += layer.base_layer.out_proj.get_delta_weight("default")
        assert relative_difference(model(X), plain(X)) < 1e-5
        assert relative_difference(model(X), Tower(own)(X)) > 0.01


@both
def test_training_leaves_the_frozen_weights_bitwise(own):
    model = adapted(own)
    before = copy.deepcopy(Tower(own).state_dict())
    for _ in range(20):
        model.train()(X).sum().backward()
    layer = model.base_model.model.attn
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "lora_" in n
    )
    assert torch.equal(layer.base_layer.in_proj_weight, before["attn.in_proj_weight"])
    assert torch.equal(layer.base_layer.out_proj.base_layer.weight, before["attn.out_proj.weight"])


@both
def test_merged_equals_adapted_and_unloading_gives_the_plain_attention(own):
    model = adapted(own)
    expected = model(X)
    layer = model.base_model.model.attn
    with model.disable_adapter():
        assert torch.equal(model(X), Tower(own)(X))
    start = layer.base_layer.in_proj_weight.clone()
    model.merge_adapter()
    assert relative_difference(model(X), expected) < 1e-5
    model.unmerge_adapter()
    assert torch.equal(layer.base_layer.in_proj_weight, start)
    plain = model.merge_and_unload()
    assert relative_difference(plain(X), expected) < 1e-5
    assert plain.state_dict().keys() == Tower(own).state_dict().keys()


@both
@pytest.mark.parametrize("rank_stabilised", [False, True])
def test_a_saved_adapter_loads_bitwise(own, rank_stabilised, tmp_path):
    model = adapted(own, use_rslora=rank_stabilised)
    model.save_pretrained(tmp_path)
    fresh = Tower(own)
    read = peft.PeftConfig.from_pretrained(tmp_path)
    use_separate_pairs(read, fresh)
    assert torch.equal(PeftModel.from_pretrained(fresh, tmp_path, config=read).eval()(X), model(X))


@both
def test_an_adapter_that_is_not_finite_is_refused_by_a_safe_merge(own):
    model = adapted(own)
    layer = model.base_model.model.attn
    with torch.no_grad():
        layer.lora_B["default"].weight[0, 0] = float("inf")
    with pytest.raises(MergeError, match="non-finite weights"):
        model.merge_adapter(safe_merge=True)
    assert not layer.merged


def test_open_clip_s_own_attention_is_a_target():
    module, _ = build("open_clip custom blocks")
    kinds = {name.rsplit(".", 1)[-1] for name in lora_targets(module)}
    assert kinds == {"attn", "c_fc", "c_proj"}
