"""Methods that leave both towers frozen: zero-shot, and the linear probe.

Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021. Their
probe starts from zero; this one starts from the zero-shot head and cannot begin below zero-shot (Wortsman et al.
2022).
"""

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

ZERO_SHOT = Method(
    name="zero-shot",
    summary="nothing; class embeddings averaged over templates",
    source="Radford et al. 2021",
    losses=(),
    learning_rate=0.0,
    rate_source="nothing is trained",
    alpha=0.0,
    build=None,
    towers=(),
)


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the head. `settings` is ignored."""
    encoder.requires_grad_(False)
    return Built(HeadLearner(encoder, head, loss), adapters=None)


LINEAR_PROBE = Method(
    name="linear-probe",
    summary="head alone, cross-entropy",
    source="Radford et al. 2021",
    losses=("cross-entropy",),
    learning_rate=0.1,
    rate_source="LP-FT's probe, with AdamW in place of SGD",
    head_learning_rate=0.1,
    towers=(),
    build=build,
)
