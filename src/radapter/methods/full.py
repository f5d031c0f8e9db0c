"""Full fine-tuning, WiSE-FT and LP-FT: the image tower and a head from the zero-shot head, by cross-entropy.

- `full` is the baseline without interpolation, always at alpha 1. Source: Wortsman et al., "Robust fine-tuning of
  zero-shot models", CVPR 2022, where it is the end-to-end baseline. The head is theirs: class embeddings times the
  logit scale, and a bias that starts at 0, both trained.
- `wise-ft` interpolates the same training with the weights before it (their equation 1), the head included:

      theta(alpha) = (1 - alpha) * theta_zero_shot + alpha * theta_fine_tuned

- `lp-ft` trains a linear probe first, then everything from its head, so that a poor head does not distort features.
  Source: Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR
  2022. Each stage has half of the epochs of any other method, and the probe its own learning rate.
"""

from dataclasses import replace

from radapter.losses import FeatureLoss
from radapter.methods.learner import tower_and_head
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains every parameter of the image tower, and the head. `settings` is ignored."""
    return Built(tower_and_head(encoder, head, loss), adapters=None)


METHOD = Method(
    name="full",
    summary="image tower and head, cross-entropy, not interpolated",
    source="Wortsman et al. 2022",
    losses=("cross-entropy",),
    learning_rate=3e-5,
    rate_source="WiSE-FT's release",
    head_learning_rate=3e-5,
    alpha=1.0,
    build=build,
    towers=("image",),
)
WISE_FT = replace(METHOD, name="wise-ft", summary="full, interpolated with zero-shot", alpha="auto")
LP_FT = replace(
    METHOD,
    name="lp-ft",
    summary="linear probe, then image tower and head",
    source="Kumar et al. 2022",
    rate_source="the middle of LP-FT's search, with AdamW in place of SGD",
    alpha="auto",
    runs="lp-ft",
    after="linear-probe",
)
