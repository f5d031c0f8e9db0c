"""A block with AdaptFormer's branch, written out row by row in float64."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def branch(rows: Tensor, down: nn.Linear, up: nn.Linear, scale: float) -> Tensor:
    """s (ReLU(x Wd + bd) Wu + bu) for rows x (..., D)."""
    found = []
    for x in rows.reshape(-1, rows.shape[-1]).double():
        hidden = []
        for weights, bias in zip(down.weight.double(), down.bias.double(), strict=True):
            hidden.append(max(0.0, float((weights * x).sum() + bias)))
        found.append(
            scale * (up.weight.double() @ torch.tensor(hidden, dtype=torch.float64) + up.bias.double())
        )
    return torch.stack(found).view(rows.shape)
