"""FLYP: both towers, fine-tuned with the contrastive loss of their pre-training.

Source: Goyal et al., "Finetune like you pretrain", CVPR 2023. The temperature stays frozen, as in all methods.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from radapter.adapter.config import TOWERS
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner, train_towers
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    towers: Sequence[str] = TOWERS,
) -> Built:
    """Trains every parameter of these towers. `head` and `settings` are ignored."""
    train_towers(encoder, towers)
    return Built(ContrastiveLearner(encoder, loss), adapters=None)


METHOD = Method(
    name="flyp",
    summary="both towers, CLIP's loss",
    source="Goyal et al. 2023",
    losses=("clip", "mpm-nce", "siglip"),
    learning_rate=1e-5,
    rate_source="FLYP's release",
    build=build,
)
BOTH_TOWERS = replace(
    METHOD,
    name="full-both-towers",
    summary="both towers, CLIP's loss, not interpolated",
    runs="full-both-towers",
    alpha=1.0,
)
"""The same training at alpha 1: full fine-tuning without a head."""
IMAGE_TOWER = replace(
    BOTH_TOWERS,
    name="full-image-tower",
    summary="image tower, MPM-NCE, not interpolated",
    source="Wortsman et al. 2022",
    losses=("mpm-nce", "single-positive", "clip", "siglip"),
    learning_rate=3e-5,
    rate_source="WiSE-FT's release",
    build=partial(build, towers=("image",)),
    runs="full-image-tower",
    towers=("image",),
)
"""Only the image tower: the text tower keeps the embedding of every class name, as in Liang et al. 2023."""
