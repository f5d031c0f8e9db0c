"""Few-shot heads as their papers and releases write them, one image at a time."""

import torch
from torch import Tensor


def clip_adapter(z: Tensor, W1: Tensor, W2: Tensor, W: Tensor, ratio: float, scale: float) -> Tensor:
    """CLIP-Adapter's logits of raw features z (B, E); W1 (E, H) and W2 (H, E) multiply from the right."""
    logits = []
    for row in z:
        hidden = (row @ W1).clamp(min=0)
        adapted = (hidden @ W2).clamp(min=0)
        mixed = ratio * adapted + (1 - ratio) * row
        logits.append(scale * (mixed / mixed.norm()) @ W.T)
    return torch.stack(logits)


def cache_keys(views: Tensor) -> Tensor:
    """Tip-Adapter's keys (K, E) from the raw features (V, K, E) of V augmentations."""
    keys = []
    for of_image in views.transpose(0, 1):
        mean = sum(of_image) / len(of_image)
        keys.append(mean / mean.norm())
    return torch.stack(keys)


def tip_adapter(
    f: Tensor, keys: Tensor, labels: Tensor, W: Tensor, *, alpha: float, beta: float, scale: float
) -> Tensor:
    """Tip-Adapter's logits of unit-norm features f (B, E)."""
    logits = scale * f @ W.T
    for image in range(len(f)):
        for key, label in zip(keys, labels.tolist(), strict=True):
            logits[image, label] += alpha * torch.exp(-beta * (1 - f[image] @ key))
    return logits


def search(logits_of, labels: Tensor, alphas: list[float], betas: list[float]) -> tuple[float, float]:
    """The release's `search_hp`: the first pair with the best accuracy; `logits_of(alpha, beta)`."""
    best, chosen = -1.0, (0.0, 0.0)
    for beta in betas:
        for alpha in alphas:
            accuracy = (logits_of(alpha, beta).argmax(1) == labels).double().mean().item()
            if accuracy > best:
                best, chosen = accuracy, (alpha, beta)
    return chosen
