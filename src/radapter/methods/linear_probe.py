"""Linear probe: a head on frozen features, by cross-entropy, started from the zero-shot head.

Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021, where
the probe starts from zero; started from the zero-shot head it cannot begin below zero-shot (Wortsman et al. 2022).
"""

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains the head alone. `settings` is not used."""
    encoder.requires_grad_(False)
    return Built(HeadLearner(encoder, head, loss), adapters=None)


METHOD = Method(
    name="linear-probe",
    summary="head alone, cross-entropy",
    source="Radford et al. 2021",
    losses=("cross-entropy",),
    learning_rate=0.1,
    rate_source="LP-FT's probe, with AdamW in place of SGD",
    head_learning_rate=0.1,
    towers=(),
    build=build,
    runs="linear-probe",
)
