"""Coins, the random draws of adapter dropping: they decide which samples of a batch keep an adapter's branch.

`TorchCoins`, the default, draws from torch's generator. `HashCoins` computes a coin from (seed, step, site, key)
alone, key being the data set's number of the image or caption, so a coin depends on neither the position in the
batch, nor the chunk, nor the number of processes, and a repeated step has the same coins, bitwise on every device.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from radapter.errors import ConfigError
from radapter.hashing import uniform


class CoinSource(Protocol):
    """Decides which samples of a batch keep the adapter branch at one site."""

    def draw(self, site: str, tower: str, samples: int, keep: float, device: torch.device) -> Tensor:
        """One coin for each of `samples` samples of `tower`, (B,), bool; True keeps the branch, with probability
        `keep` in (0, 1]. Every site has its own coins."""


class TorchCoins:
    """Independent coins from a CPU generator; None is torch's global one, the only one that gradient checkpointing
    replays."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def draw(self, site: str, tower: str, samples: int, keep: float, device: torch.device) -> Tensor:
        """See `CoinSource.draw`."""
        # drawn on the CPU on purpose: the same seed gives the same coins with and without a GPU
        return (torch.rand(samples, generator=self.generator) < keep).to(device)


class HashCoins:
    """Coins that are a hash of (seed, step, site, key), the same wherever and however often they are drawn.

    Args:
        seed: Of the run.
        step: Of the optimizer.
        keys: For each tower, (B,), int64: the image or caption at each position of the batch. On the CPU they do not
            make a GPU wait.
    """

    def __init__(self, seed: int, step: int, keys: Mapping[str, Tensor]) -> None:
        for tower, key in keys.items():
            if key.dtype != torch.int64 or key.ndim != 1:
                raise ConfigError(f"keys[{tower!r}] must be int64 (B,), got {key.dtype} {tuple(key.shape)}.")
        self.seed, self.step, self.keys = seed, step, keys

    def draw(self, site: str, tower: str, samples: int, keep: float, device: torch.device) -> Tensor:
        """See `CoinSource.draw`. Raises ConfigError if the tower has no keys, or not one per sample."""
        if tower not in self.keys:
            raise ConfigError(f"keys must hold the tower {tower!r}, which was run. Got {sorted(self.keys)}.")
        key = self.keys[tower]
        if len(key) != samples:
            counts = f"one key per sample, {samples} at site {site!r}. Got {len(key)}"
            raise ConfigError(f"keys[{tower!r}] must hold {counts}. Give the keys of this batch.")
        # multiples of 2^-24 from integers: the coin is the same bit on every device
        drawn = uniform(self.seed, key.to(device), f"dropping at {site} in step {self.step}")
        return drawn.squeeze(1) < keep
