"""The source of the coins (random draws) for adapter dropping.

An adapter asks its coin source which samples keep their branch. `TorchCoins`, the default, draws from torch's
generator. `HashCoins` computes the coin of one sample from (seed, step, site, key) alone, key being the data set's
number of the image or caption. A coin then depends on neither the position in the batch, nor the chunk, nor the
number of processes. Running the same step again gives the same coins, bitwise on every device.
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
        """One coin per sample, (B,), bool; True keeps the branch.

        Args:
            site: The site's name, which separates its coins from those of other sites.
            tower: "image" or "text".
            samples: B, the number of samples in the batch that the tower sees.
            keep: The probability that a sample keeps the branch, in (0, 1].
            device: Device of the result.
        """
        ...


class TorchCoins:
    """Coins from torch's generator: independent for every call.

    Args:
        generator: A CPU generator; None is torch's global one. Under gradient checkpointing torch replays only the
            global one, so leave it None there or use `HashCoins`.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def draw(self, site: str, tower: str, samples: int, keep: float, device: torch.device) -> Tensor:
        """One independent coin per sample, (B,) bool; see `CoinSource.draw`."""
        # drawn on the CPU on purpose: the same seed gives the same coins with and without a GPU
        return (torch.rand(samples, generator=self.generator) < keep).to(device)


class HashCoins:
    """Coins that are a hash of (seed, step, site, key), the same wherever and however often they are drawn.

    Args:
        seed: Of the run.
        step: Of the optimizer; every step has coins of its own.
        keys: For each tower, (B,), int64: the image or caption at each position of the batch. On the CPU they cost a
            GPU no synchronisation.
    """

    def __init__(self, seed: int, step: int, keys: Mapping[str, Tensor]) -> None:
        for tower, key in keys.items():
            if key.dtype != torch.int64 or key.ndim != 1:
                raise ConfigError(
                    f"keys[{tower!r}] must be int64 of shape (B,). Got {key.dtype} of shape {tuple(key.shape)}."
                )
        self.seed = seed
        self.step = step
        self.keys = keys

    def draw(self, site: str, tower: str, samples: int, keep: float, device: torch.device) -> Tensor:
        """The coins of the batch's keys at `site`, (B,) bool; see `CoinSource.draw`. Raises ConfigError if the tower
        has no keys, or not one per sample."""
        if tower not in self.keys:
            raise ConfigError(f"keys must hold the tower {tower!r}, which was run. Got {sorted(self.keys)}.")
        key = self.keys[tower]
        if len(key) != samples:
            raise ConfigError(
                f"keys[{tower!r}] must hold one key per sample, {samples} at site {site!r}. Got {len(key)}. "
                "Give the keys of the batch that the tower is run on."
            )
        # multiples of 2^-24 from integers: the coin is the same bit on every device
        drawn = uniform(self.seed, key.to(device), f"dropping at {site} in step {self.step}")
        return drawn.squeeze(1) < keep
