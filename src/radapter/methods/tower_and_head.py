"""What full fine-tuning and its relatives share: the whole image tower under a trained head."""

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner, Regulariser
from radapter.methods.method import Built, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def tower_and_head(
    encoder: DualEncoder, head: LinearHead, loss: FeatureLoss, regulariser: Regulariser | None = None
) -> HeadLearner:
    """A learner of every parameter of the image tower, and of the head."""
    encoder.requires_grad_(False)
    for part in encoder.image_tower():
        part.requires_grad_(True)
    return HeadLearner(encoder, head, loss, regulariser=regulariser)


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains every parameter of the image tower, and the head. `settings` is not used."""
    return Built(tower_and_head(encoder, head, loss), adapters=None)
