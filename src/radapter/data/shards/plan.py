"""Assigns the samples of an epoch to processes and readers: a pure function of shard sizes, seed, epoch and rank.

A hash of (seed, epoch, shard) orders the shards of an epoch; their samples, one shard after the other, form the line
of the epoch. Each process takes a range of the line, and each of its readers a part of that, even if this cuts a
shard. So all processes have the same number of batches, and every sample is read once. webdataset's own splitters
assign whole shards: if shards differ in size, neither holds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from radapter.hashing import keys as hashed
from radapter.processes import share


class Segment(NamedTuple):
    """The samples [start, stop) of the shard with this number."""

    shard: int
    start: int
    stop: int


def stretch(samples: int, per_step: int, rank: int, world_size: int) -> range:
    """The places on the line of an epoch that one process reads.

    `per_step` is the number of samples in a step, over all processes, a multiple of `world_size`. The last step
    takes what is left, shared among the processes, or is left out if that is less than one sample for each.
    """
    steps, rest = divmod(samples, per_step)
    each = steps * (per_step // world_size)
    own = share(rest if rest >= world_size else 0, rank, world_size)
    start = rank * each + own.start
    return range(start, start + each + len(own))


def reader_stretch(own: range, per_batch: int, reader: int, readers: int) -> range:
    """The part of a process's range that one reader reads: whole batches, except for the very last.

    The process takes batches from its readers in turn: batch t comes from reader t mod readers.
    """
    batches = share(-(-len(own) // per_batch), reader, readers)
    return own[batches.start * per_batch : batches.stop * per_batch]


def shard_order(shards: int, seed: int, epoch: int) -> list[int]:
    """The numbers of the shards in the order of an epoch."""
    ranks = hashed(seed, torch.arange(shards), f"shards {epoch}")
    order: list[int] = torch.argsort(ranks, stable=True).tolist()
    return order


def segments(counts: Sequence[int], order: Sequence[int], wanted: range) -> list[Segment]:
    """The parts of shards that hold the places `wanted` of the line.

    `counts` has the samples of each shard, by its number, and `order` the numbers as ordered on the line.
    """
    found, place = [], 0
    for shard in order:
        start, stop = max(wanted.start - place, 0), min(wanted.stop - place, counts[shard])
        if start < stop:
            found.append(Segment(shard, start, stop))
        place += counts[shard]
    return found
