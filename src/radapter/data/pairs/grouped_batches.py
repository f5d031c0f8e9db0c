"""Batches in which several pairs share a target class, so that multi-positive losses have more than one positive.

Each batch has `groups_per_batch` target classes and `per_group` pairs of each; every class occurs once per epoch. An
epoch is a pure function of (seed, epoch, targets): a counter hash ranks the classes and the pairs of each class, so
that neither the number of processes nor an interruption changes it.
"""

from typing import final

import torch
from torch import Tensor

from radapter.errors import ConfigError
from radapter.hashing import keys as hashed


@final
class GroupedBatchSampler:
    """Lists of pair indices, epoch by epoch, from the target class of each pair: (M,), int64.

    A class with fewer than `per_group` pairs gives all. The last batch of an epoch has the remaining classes. No
    index occurs twice in an epoch.
    Raises ConfigError if there are fewer classes than `groups_per_batch`, or no class has `per_group` pairs.
    """

    def __init__(self, targets: Tensor, *, groups_per_batch: int, per_group: int, seed: int) -> None:
        if targets.ndim != 1 or len(targets) == 0:
            raise ValueError(f"targets must be (M,), M >= 1. Got {tuple(targets.shape)}.")
        self._values, self._classes, sizes = torch.unique(targets, return_inverse=True, return_counts=True)
        if not 1 <= groups_per_batch <= len(sizes):
            raise ConfigError(
                f"groups_per_batch must be in [1, {len(sizes)}], the target classes. Got {groups_per_batch}. "
                "Give fewer, or more data."
            )
        largest = int(sizes.max())
        if not 1 <= per_group <= largest:
            raise ConfigError(
                f"per_group must be in [1, {largest}], the pairs of the largest target class. Got {per_group}. "
                "Give fewer, or images with more captions."
            )
        self._sizes, self._seed = sizes, seed
        self._groups_per_batch, self._per_group = groups_per_batch, per_group

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._sizes) // self._groups_per_batch)

    @property
    def samples_per_epoch(self) -> int:
        """Pairs in an epoch: at most `per_group` of each class."""
        return int(self._sizes.clamp(max=self._per_group).sum())

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, counted from 0: indices into `targets`, the pairs of a class side by side."""
        class_order = torch.argsort(hashed(self._seed, self._values, f"group order {number}"), stable=True)
        position = torch.empty_like(class_order)
        position[class_order] = torch.arange(len(class_order))
        # Pairs by hash, then, stably, by the position of their class: within a class the hash decides.
        pairs = torch.argsort(
            hashed(self._seed, torch.arange(len(self._classes)), f"of a group {number}"), stable=True
        )
        pairs = pairs[torch.argsort(position[self._classes[pairs]], stable=True)]
        sizes = self._sizes[class_order]
        rank = torch.arange(len(pairs)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        kept = pairs[rank < self._per_group]
        drawn = sizes.clamp(max=self._per_group)
        lengths = [int(part.sum()) for part in torch.split(drawn, self._groups_per_batch)]
        return [batch.tolist() for batch in torch.split(kept, lengths)]
