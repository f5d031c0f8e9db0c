"""An attention with an adapter after each of its four projections, written out sample by sample in float64."""

import math

import torch
from torch import Tensor


def adapted_attention(
    rows: Tensor,
    projections: list[tuple[Tensor, Tensor]],
    matrices: Tensor,
    scales: Tensor,
    *,
    heads: int,
    gamma: Tensor,
) -> Tensor:
    """rows (B, L, D); (weight, bias) of q, k, v and out; matrices (4, D, D); scales (4,).

    gamma (B, 4) is the factor of each sample's adapters: 1, or 0 or 1 / (1 - p) with dropping.
    """
    samples = []
    for x, factors in zip(rows.double(), gamma.double(), strict=True):

        def projected(number: int, u: Tensor, factors=factors) -> Tensor:
            weight, bias = projections[number]
            y = u @ weight.double().T + bias.double()
            return y + factors[number] * scales[number].double() * (y @ matrices[number].double())

        q, k, v = (projected(number, x) for number in range(3))
        size = q.shape[1] // heads
        of_heads = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = q[:, own] @ k[:, own].T / math.sqrt(size)
            of_heads.append(torch.softmax(scores, dim=1) @ v[:, own])
        samples.append(projected(3, torch.cat(of_heads, dim=1)))
    return torch.stack(samples)
