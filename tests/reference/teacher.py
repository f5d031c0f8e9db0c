"""Terms of a frozen teacher, written for one image at a time."""

import torch
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def kl_term(f0: Tensor, rows0: Tensor, t0: float, f: Tensor, rows: Tensor, t: float) -> Tensor:
    """mean over images of sum_m p0_m log(p0_m / p_m)."""
    total = torch.zeros((), dtype=f.dtype)
    for before, now in zip(f0, f, strict=True):
        p0 = torch.exp(t0 * rows0 @ before)
        p = torch.exp(t * rows @ now)
        p0, p = p0 / p0.sum(), p / p.sum()
        total = total + (p0 * (p0 / p).log()).sum()
    return total / len(f)


def lipsum_term(f0: Tensor, f: Tensor, rows: Tensor, t: float) -> Tensor:
    """mean over images of ||v - v0||^2 / (2 M)."""
    total = torch.zeros((), dtype=f.dtype)
    for before, now in zip(f0, f, strict=True):
        total = total + ((t * rows @ now - t * rows @ before) ** 2).sum() / (2 * len(rows))
    return total / len(f)


def contexts(encode, classnames, templates) -> Tensor:
    """CAR-FT's rows: the mean over classes of unit features, for each template."""
    rows = []
    for template in templates:
        features = [unit(encode(template.replace("{}", name))) for name in classnames]
        rows.append(unit(sum(features) / len(features)))
    return torch.stack(rows)
