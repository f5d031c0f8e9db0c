"""Full fine-tuning: the whole image tower and a head that starts as the zero-shot head, by cross-entropy.

It is the baseline without interpolation, always at alpha 1; `wise-ft` is the same training at a chosen alpha.

Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, where it is the end-to-end baseline.
The head is theirs: class embeddings times the logit scale, and a bias that starts at 0, both trained.
"""

from radapter.methods.method import Method
from radapter.methods.tower_and_head import build

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
    runs="full",
    towers=("image",),
)
