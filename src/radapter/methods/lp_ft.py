"""LP-FT: a linear probe first, then full fine-tuning from its head, so that a poor head does not distort features.

Source: Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022.
Both stages together have the epochs that any other method has: half for the probe, at the probe's own learning
rate, and half for fine-tuning.
"""

from radapter.methods.method import Method
from radapter.methods.tower_and_head import build

METHOD = Method(
    name="lp-ft",
    summary="linear probe, then image tower and head",
    source="Kumar et al. 2022",
    losses=("cross-entropy",),
    learning_rate=3e-5,
    rate_source="the middle of LP-FT's search, with AdamW in place of SGD",
    head_learning_rate=3e-5,
    build=build,
    runs="lp-ft",
    towers=("image",),
    after="linear-probe",
)
