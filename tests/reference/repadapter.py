"""RepAdapter's bottleneck and its merge, written out entry by entry in float64."""

import torch
from torch import Tensor


def dense(up: Tensor, groups: int) -> Tensor:
    """B (D, r) of a grouped matrix (D, r / G): output d sees the hidden units of its group."""
    width, own = up.shape
    whole = torch.zeros(width, own * groups, dtype=torch.float64)
    for d in range(width):
        group = d // (width // groups)
        for unit in range(own):
            whole[d, group * own + unit] = up[d, unit]
    return whole


def adapted(rows: Tensor, down: Tensor, shift: Tensor, up: Tensor, bias: Tensor, scale: float) -> Tensor:
    """y + s (B (A y + a) + b) for each row y; rows (N, D), up (D, r)."""
    return torch.stack([y + scale * (up @ (down @ y + shift) + bias) for y in rows.double()])


def merged(
    weight: Tensor,
    constant: Tensor,
    down: Tensor,
    shift: Tensor,
    up: Tensor,
    bias: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """V (I + s B A) and c + s V (B a + b)."""
    identity = torch.eye(len(up), dtype=torch.float64)
    return (
        weight.double() @ (identity + scale * up @ down),
        constant.double() + scale * weight.double() @ (up @ shift + bias),
    )
