"""Random numbers that are a pure function of (seed, index, stream): a counter hash instead of a generator.

A generator's n-th draw depends on everything drawn before it; a hash does not. A scene, an augmentation or the coin
of adapter dropping is therefore bitwise the same in every batch.

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

import zlib

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


def mixed(values: Tensor) -> Tensor:
    """SplitMix64's finaliser, element by element: int64 of any shape to int64, with wrapping multiplication."""
    values = (values ^ _shifted(values, 30)) * _FIRST
    values = (values ^ _shifted(values, 27)) * _SECOND
    return values ^ _shifted(values, 31)


def keys(seed: int, index: Tensor, stream: str) -> Tensor:
    """One 64-bit number per index: (N,), int64 -> (N,), int64. `seed` is any integer below 2^63; `stream` names the
    purpose of the numbers, and streams are independent of each other."""
    signed = (seed * 4 + 1 + 2**63) % 2**64 - 2**63
    start = mixed(torch.tensor(signed, dtype=torch.int64) * _GOLDEN)
    return mixed(mixed(index.to(torch.int64) * _GOLDEN + start) + zlib.crc32(stream.encode()))


def uniform(seed: int, index: Tensor, stream: str, count: int = 1) -> Tensor:
    """Uniform numbers in [0, 1), (N, count), float32, multiples of 2^-24; other arguments are those of `keys`."""
    column = torch.arange(1, count + 1, dtype=torch.int64, device=index.device) * _GOLDEN
    bits = mixed(keys(seed, index, stream)[:, None] + column)
    return _shifted(bits, 40).to(torch.float32) * 2.0**-24


def between(low: float | Tensor, high: float | Tensor, unit: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) stretched to [low, high)."""
    return low + (high - low) * unit


def pick(unit: Tensor, weights: Tensor) -> Tensor:
    """Draws int64 in [0, K) from a categorical distribution by inversion, in the shape of `unit`.

    `unit` is uniform in [0, 1); `weights`, (K,), are non-negative and not all zero.
    """
    edges = torch.cumsum(weights.to(torch.float64), 0)
    edges = (edges / edges[-1]).to(torch.float32)[:-1].contiguous()
    return torch.searchsorted(edges, unit.contiguous(), right=True)


def _shifted(values: Tensor, bits: int) -> Tensor:
    # int64 >> keeps the sign; the mask makes it the logical shift of the mixer's definition
    return (values >> bits) & ((1 << (64 - bits)) - 1)
