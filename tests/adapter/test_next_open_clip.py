"""open_clip 4 replaces `nn.MultiheadAttention` by an attention of its own that calls its output projection."""

import open_clip
import pytest
import torch
from adapter.families import relative_difference
from peft import get_peft_model
from torch import Tensor, nn

from radapter.adapter import RAdapterConfig, find_sites


class Attention(nn.Module):
    """Shaped like open_clip.transformer.Attention of 4.2.0.dev0, around the weights of 3.x; batch first."""

    def __init__(self, old: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = old.num_heads
        self.in_proj_weight, self.in_proj_bias = old.in_proj_weight, old.in_proj_bias
        self.out_proj = nn.Linear(old.embed_dim, old.embed_dim)
        self.out_proj.load_state_dict(old.out_proj.state_dict())

    def forward(self, x: Tensor, k_x=None, v_x=None, attn_mask=None, **_: object) -> tuple[Tensor, None]:
        batch, length, width = x.shape
        qkv = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        q, k, v = (part.view(batch, length, self.num_heads, -1).transpose(1, 2) for part in qkv)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out_proj(
            mixed.transpose(1, 2).reshape(batch, length, width)
        ), None  # a block of 3.x takes [0]


@pytest.fixture
def clip() -> nn.Module:
    torch.manual_seed(0)
    vision = {"image_size": 32, "patch_size": 16, "width": 64, "layers": 2}
    text = {"context_length": 8, "vocab_size": 50, "width": 64, "heads": 2, "layers": 2}
    model = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).eval()
    for block in (*model.visual.transformer.resblocks, *model.transformer.resblocks):
        block.attn = Attention(block.attn)
    return model.requires_grad_(False)


def test_sites_are_the_output_projections_batch_first(clip):
    sites = [site for site in find_sites(clip) if site.kind == "attention"]
    assert [site.name.rsplit(".", 2)[1:] for site in sites] == [["attn", "out_proj"]] * 4
    assert {site.sample_axis for site in sites} == {0}


def test_merge_equals_the_adapted_model(clip):
    pixels, tokens = torch.rand(2, 3, 32, 32), torch.randint(1, 50, (2, 8))
    before = clip(pixels, tokens)[0]
    model = get_peft_model(clip, RAdapterConfig()).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.3)
    adapted = clip(pixels, tokens)[:2]
    assert relative_difference(adapted[0], before) > 1e-2
    merged = model.merge_and_unload()(pixels, tokens)
    for got, expected in zip(merged, adapted, strict=False):
        assert relative_difference(got, expected) < 1e-5  # float32
