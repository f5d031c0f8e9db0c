"""LoRA by PEFT: low-rank updates of every attention and FFN matrix of both towers.

Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022; rsLoRA: Kalajdzievski, "A rank
stabilization scaling factor for fine-tuning with LoRA", 2023. Both have R-Adapter's loss, so that the rows differ
only in the adapter. lora_alpha equals the rank, so LoRA's updates are scaled by 1 and rsLoRA's by sqrt(r).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from peft import LoraConfig, get_peft_model
from pydantic import Field
from torch import nn

from radapter.adapter import block_names
from radapter.adapter.config import TOWERS
from radapter.adapter.sites import linear_names
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.lora_attention import use_separate_pairs
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


class LoraSettings(MethodSettings):
    """What users set of LoRA."""

    r: int = Field(default=8, ge=1, description="rank of the updates")


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    rank_stabilised: bool = False,
    towers: Sequence[str] = TOWERS,
) -> Built:
    """Trains updates of these towers, of the settings' rank. `head` is ignored."""
    assert isinstance(settings, LoraSettings)
    rank, targets = settings.r, lora_targets(encoder.module, towers)
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets, use_rslora=rank_stabilised)
    use_separate_pairs(config, encoder.module)
    encoder.requires_grad_(False)
    adapters = get_peft_model(encoder.module, config)
    return Built(ContrastiveLearner(encoder, loss), adapters)


def lora_targets(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[str]:
    """The matrices in these towers' residual blocks, by name; an attention with one matrix for queries, keys and
    values is named whole (see `lora_attention`). Raises SiteError if there is no block."""
    return [name for block in block_names(module, towers) for name in linear_names(module, block)]


METHOD = Method(
    name="lora",
    summary="rank-8 updates of both towers, MPM-NCE",
    source="Hu et al. 2022",
    losses=("mpm-nce", "clip", "siglip"),
    learning_rate=2e-4,
    rate_source="CLIP-LoRA's release",
    build=build,
    settings_type=LoraSettings,
)
RANK_STABILISED = replace(
    METHOD,
    name="rslora",
    summary="as lora, updates scaled by sqrt(r) instead of 1",
    source="Kalajdzievski 2023",
    build=partial(build, rank_stabilised=True),
    runs="rslora",
)
_IMAGE = ("image",)
IMAGE_TOWER = (
    replace(
        METHOD,
        summary="rank-8 updates of the image tower, MPM-NCE",
        towers=_IMAGE,
        build=partial(build, towers=_IMAGE),
    ),
    replace(RANK_STABILISED, towers=_IMAGE, build=partial(build, towers=_IMAGE, rank_stabilised=True)),
)
