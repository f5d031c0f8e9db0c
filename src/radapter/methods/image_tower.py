"""Full fine-tuning of the image tower alone, contrastively: the text tower keeps the place of every class name.

Source: Liang et al., "Open-vocabulary semantic segmentation with mask-adapted CLIP", CVPR 2023, whose text tower
stays frozen too.
"""

from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains every parameter of the image tower. Neither `head` nor `settings` is used."""
    encoder.requires_grad_(False)
    for part in encoder.image_tower():
        part.requires_grad_(True)
    return Built(ContrastiveLearner(encoder, loss), adapters=None)
