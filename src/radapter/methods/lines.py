"""LiNeS: a training's update, scaled by the depth of each block.

Source: Wang et al., "LiNeS: post-training layer scaling prevents forgetting and enhances model merging", ICLR 2025.
tau is the update of a training, l = 1 .. L the number of a block in its tower, a the method's own alpha:

    w' = w0 + lambda_l tau        lambda_l = a + (1 - a) (l - 1) / (L - 1); a outside of the blocks

a is the smallest of {0, 0.1 .. 1} within one paired standard error of the best on ID validation; the source searches
the same values, also by accuracies on other data sets. The training is `full`. w' is then interpolated with the
zero-shot weights like any other method's. Outside of the blocks are embeddings, final norm, projection and head.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from radapter.methods.full import WISE_FT

Weights = Mapping[str, Tensor]
ALPHAS = tuple(step / 10 for step in range(11))
"""The values of a that are tried."""


def lines(
    base: Weights, tuned: Weights, blocks: Mapping[str, tuple[int, int]], alpha: float
) -> dict[str, Tensor]:
    """w' for every tensor of `base`; computed in float32 or wider.

    Args:
        base: w0.
        tuned: w0 + tau, with the names of `base`.
        blocks: Name of a block -> (its number from 0, L). Tensors inside have names that begin with "NAME.".
        alpha: a, in [0, 1].
    """
    scales = {f"{name}.": alpha + (1 - alpha) * _depth(*place) for name, place in blocks.items()}
    found = {}
    for name, start in base.items():
        scale = next((scale for prefix, scale in scales.items() if name.startswith(prefix)), alpha)
        wide = torch.promote_types(start.dtype, torch.float32)
        found[name] = torch.lerp(start.to(wide), tuned[name].to(start.device, wide), scale).to(start.dtype)
    return found


def _depth(number: int, count: int) -> float:
    return number / (count - 1) if count > 1 else 1.0


METHOD = replace(
    WISE_FT,
    name="lines",
    summary="full, its update scaled by depth",
    source="Wang et al. 2024",
    averages="lines",
)
