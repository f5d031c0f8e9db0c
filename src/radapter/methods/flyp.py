"""FLYP: both towers, fine-tuned with the contrastive loss they were pre-trained with.

Source: Goyal et al., "Finetune like you pretrain", CVPR 2023. The temperature stays frozen, as everywhere here.
"""

from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains every parameter of both towers. Neither `head` nor `settings` is used."""
    encoder.requires_grad_(False)
    for tower in (*encoder.image_tower(), *encoder.text_tower()):
        tower.requires_grad_(True)
    return Built(ContrastiveLearner(encoder, loss), adapters=None)


METHOD = Method(
    name="flyp",
    summary="both towers, CLIP's loss",
    source="Goyal et al. 2023",
    losses=("clip", "mpm-nce", "siglip"),
    learning_rate=1e-5,
    rate_source="FLYP's release",
    build=build,
    runs="flyp",
)
