"""WiSE-FT: the weights of `full`, interpolated with the ones before fine-tuning.

    theta(alpha) = (1 - alpha) * theta_zero_shot + alpha * theta_fine_tuned, the head included

Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, equation 1.
"""

from dataclasses import replace

from radapter.methods import full

METHOD = replace(
    full.METHOD,
    name="wise-ft",
    summary="full, interpolated with zero-shot",
    alpha="auto",
)
