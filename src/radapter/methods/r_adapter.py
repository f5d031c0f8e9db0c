"""R-Adapter: linear adapters in both towers, three self-ensembles, MPM-NCE; and its variant with a trained head.

Source: Kim et al., "Efficient and versatile robust fine-tuning of zero-shot models", ECCV 2024. The variant is
ours: adapters in the image tower alone under a head that starts as the zero-shot head, interpolated by the same
alpha. The head repairs class names that the text tower understands badly.
"""

from dataclasses import replace

from peft import get_peft_model
from torch import Tensor

from radapter.adapter import RAdapterConfig
from radapter.methods.learner import ContrastiveLearner, FeatureLoss, HeadLearner
from radapter.methods.method import Built, Method
from radapter.models import DualEncoder


def build(encoder: DualEncoder, *, head: Tensor, loss: FeatureLoss, adapter: RAdapterConfig) -> Built:
    """Trains one adapter after each attention and FFN of the adapter's towers. `head` is not used."""
    encoder.requires_grad_(False)
    adapters = get_peft_model(encoder.module, adapter)
    return Built(ContrastiveLearner(encoder, loss), adapters)


def build_with_head(
    encoder: DualEncoder, *, head: Tensor, loss: FeatureLoss, adapter: RAdapterConfig
) -> Built:
    """Trains the adapters of the image tower, and the head (C, E)."""
    encoder.requires_grad_(False)
    adapters = get_peft_model(encoder.module, replace(adapter, towers=("image",)))
    return Built(HeadLearner(encoder, head, loss), adapters)


METHOD = Method(
    name="r-adapter",
    summary="linear adapters in both towers, MPM-NCE",
    source="Kim et al. 2024",
    losses=("mpm-nce", "clip", "siglip"),
    learning_rate=1e-2,
    alpha="auto",
    build=build,
    runs="r-adapter",
)

WITH_HEAD = Method(
    name="r-adapter+head",
    summary="linear adapters in the image tower and head, cross-entropy",
    source="Kim et al. 2024, with a head",
    losses=("cross-entropy",),
    learning_rate=1e-2,
    alpha="auto",
    build=build_with_head,
    runs="r-adapter+head",
)
