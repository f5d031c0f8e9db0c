"""Resizing as matrices: one row for each output pixel, its weights on the input pixels.

A two-dimensional resize is a matrix on either side, so a batch of crops of different sizes becomes one batch of
matrix products. The kernels are the cubic ones of Pillow and torch: with antialiasing a = -0.5, widened by the
factor of reduction; without it a = -0.75 on four neighbours, whatever the reduction.
"""

import torch
from torch import Tensor


def antialiased_weights(lengths: Tensor, size: int, *, span: int, dtype: torch.dtype) -> Tensor:
    """Weights that resize each of N lines as Pillow does, and torch with `antialias=True`.

    Args:
        lengths: (N,), int, pixels of each line, 1 or more.
        size: Pixels of each resized line.
        span: Columns of the result, at least the longest line; those beyond a line are 0.
        dtype: Of the result.

    Returns:
        (N, size, span); each row sums to 1.
    """
    centres, scale = _centres(lengths, size, dtype)
    stretch = scale.clamp(min=1)
    reach = 2 * stretch
    low = (centres - reach + 0.5).floor().clamp(min=0)
    high = torch.minimum((centres + reach + 0.5).floor(), lengths[:, None].to(dtype))
    taps = torch.arange(span, dtype=dtype, device=lengths.device)
    weights = _cubic((taps - centres[..., None] + 0.5) / stretch[..., None], a=-0.5)
    weights = weights * ((taps >= low[..., None]) & (taps < high[..., None]))
    return weights / weights.sum(-1, keepdim=True)


def plain_weights(lengths: Tensor, size: int, *, span: int, dtype: torch.dtype) -> Tensor:
    """Weights that resize as torch's `interpolate(mode="bicubic")` does: four taps, aliasing; see
    `antialiased_weights`.
    """
    centres, _ = _centres(lengths, size, dtype)
    first = (centres - 0.5).floor()
    taps = first[..., None] + torch.arange(-1, 3, dtype=dtype, device=lengths.device)
    weights = _cubic(taps - (centres - 0.5)[..., None], a=-0.75)
    inside = torch.minimum(taps.clamp(min=0), lengths[:, None, None].to(dtype) - 1).long()
    return weights.new_zeros(*centres.shape, span).scatter_add_(-1, inside, weights)


def nearest_index(lengths: Tensor, size: int) -> Tensor:
    """The input pixel that each output pixel shows, as torch's `interpolate(mode="nearest")`: (N, size), int64."""
    steps = torch.arange(size, device=lengths.device)
    # torch multiplies by the float32 quotient; whole numbers would differ from it where it rounds down.
    scale = lengths.float() / size
    return torch.minimum((steps * scale[:, None]).floor().long(), lengths[:, None] - 1)


def _centres(lengths: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    scale = lengths[:, None].to(dtype) / size
    return (torch.arange(size, dtype=dtype, device=lengths.device) + 0.5) * scale, scale


def _cubic(x: Tensor, *, a: float) -> Tensor:
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))
