"""The weights of two methods of PEFT, written out row by row in float64."""

import torch
from torch import Tensor


def dora(weight: Tensor, down: Tensor, up: Tensor, scaling: float, magnitude: Tensor) -> Tensor:
    """m (W + s B A) / |W + s B A|, each row by its own norm; weight (D, D_in), down (r, D_in), up (D, r), m (D,)."""
    updated = weight.double() + scaling * up.double() @ down.double()
    return torch.stack(
        [m * row / row.square().sum().sqrt() for m, row in zip(magnitude, updated, strict=True)]
    )


def ia3(weight: Tensor, factors: Tensor, *, of_inputs: bool) -> Tensor:
    """W with its inputs (the FFN's second layer) or its outputs (a projection) multiplied by learned factors."""
    rows = []
    for number, row in enumerate(weight.double()):
        rows.append(row * factors.flatten() if of_inputs else row * factors.flatten()[number])
    return torch.stack(rows)
