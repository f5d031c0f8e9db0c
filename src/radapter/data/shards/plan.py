"""Who reads what of an epoch: a pure function of the shards' sizes, the seed, the epoch and the place.

The shards of an epoch stand in an order that a hash of (seed, epoch, shard) gives; their samples, one shard after
the other, are the line of the epoch. Each process takes a stretch of the line, each reader of a process a part of
that, cut in the middle of a shard where need be. So all processes have the same number of batches, and every sample
is read once. webdataset's own splitters deal out whole shards: where shards differ in size, neither holds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from radapter.errors import ConfigError
from radapter.hashing import keys as hashed
from radapter.processes import share


class Segment(NamedTuple):
    """Some samples of one shard.

    Attributes:
        shard: its number.
        start, stop: the samples, by their place in it.
    """

    shard: int
    start: int
    stop: int


def stretch(samples: int, per_step: int, rank: int, world_size: int) -> range:
    """The places on the line of an epoch that are one process's.

    The last step takes what is left, shared among the processes; where that is less than one sample for each, it is
    left out.

    Args:
        samples: on the line.
        per_step: samples a step, over all processes; a multiple of `world_size`.
        rank: of this process.
        world_size: processes.
    """
    steps, rest = divmod(samples, per_step)
    each = steps * (per_step // world_size)
    own = share(rest if rest >= world_size else 0, rank, world_size)
    start = rank * each + own.start
    return range(start, start + each + len(own))


def reader_stretch(own: range, per_batch: int, reader: int, readers: int) -> range:
    """The part of a process's stretch that is one reader's: whole batches, but for the last of all.

    Batches of the readers in turn are those of the process: number t is reader t mod readers's.
    """
    batches = share(-(-len(own) // per_batch), reader, readers)
    return own[batches.start * per_batch : batches.stop * per_batch]


def shard_order(shards: int, seed: int, epoch: int) -> list[int]:
    """The numbers of the shards in the order of an epoch."""
    order: list[int] = torch.argsort(
        hashed(seed, torch.arange(shards), f"shards {epoch}"), stable=True
    ).tolist()
    return order


def segments(counts: Sequence[int], order: Sequence[int], wanted: range) -> list[Segment]:
    """What holds a stretch of the line.

    Args:
        counts: samples of each shard, by its number.
        order: numbers of the shards as they stand on the line.
        wanted: places on the line.
    """
    found, place = [], 0
    for shard in order:
        start, stop = max(wanted.start - place, 0), min(wanted.stop - place, counts[shard])
        if start < stop:
            found.append(Segment(shard, start, stop))
        place += counts[shard]
    return found


def check_places(
    *, shards: int, per_step: int, samples: int, world_size: int, readers: int, where: str
) -> None:
    """Raises where processes and readers cannot share the shards.

    Args:
        shards: of the folder.
        per_step: samples a step, over all processes.
        samples: of the folder.
        world_size: processes.
        readers: of each process; 0 for a process that reads itself.
        where: the folder.

    Raises:
        ConfigError: there are fewer shards than readers, fewer samples than processes, or a batch cannot be parted.
    """
    needed = world_size * max(readers, 1)
    if shards < needed:
        each = f" with {readers} readers each" if readers else ""
        processes = f"{world_size} process" + ("" if world_size == 1 else "es")
        raise ConfigError(
            f"a stream needs a shard for each that reads, {needed} for {processes}{each}. '{where}' has "
            f"{shards}. Start fewer, or write smaller shards: radapter shards DATA --to DIR --size 100MB."
        )
    if per_step % world_size:
        raise ConfigError(
            f"train.batch_size must give every process the same, a multiple of {world_size} images. Got {per_step}. "
            f"Use {-(-per_step // world_size) * world_size}, or another number of processes."
        )
    if samples < world_size:
        raise ConfigError(
            f"a stream needs an image for each of {world_size} processes. '{where}' has {samples}. Start fewer."
        )
