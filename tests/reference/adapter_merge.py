"""The adapter's algebra written out, one line per term of the paper's equations, in float64."""

import torch
from torch import Tensor


def adapted_rows(output: Tensor, matrix: Tensor, scale: float, alpha: float) -> Tensor:
    """z = y + alpha s y A, row by row; output (N, D), matrix (D, D)."""
    rows = []
    for y in output.double():
        rows.append(y + alpha * scale * (y @ matrix.double()))
    return torch.stack(rows)


def merged_linear(
    weight: Tensor, bias: Tensor, matrix: Tensor, scale: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """W' = M^T W and b' = M^T b with M = I + alpha s A, entry by entry; weight (D, D_in), bias (D,)."""
    width, inputs = weight.shape
    affine = torch.eye(width, dtype=torch.float64) + alpha * scale * matrix.double()
    merged = torch.zeros(width, inputs, dtype=torch.float64)
    shift = torch.zeros(width, dtype=torch.float64)
    for i in range(width):
        for k in range(width):
            merged[i] += affine[k, i] * weight[k].double()
            shift[i] += affine[k, i] * bias[k].double()
    return merged, shift


def dropped_samples(output: Tensor, matrix: Tensor, scale: float, gamma: Tensor, drop: float) -> Tensor:
    """z_i = y_i + gamma_i / (1 - p) s y_i A for every sample i; output (B, L, D), gamma (B,)."""
    samples = []
    for y, kept in zip(output.double(), gamma.double(), strict=True):
        samples.append(y + kept / (1 - drop) * scale * (y @ matrix.double()))
    return torch.stack(samples)
