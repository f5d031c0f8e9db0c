"""Inspects images before training: a sample spread over a set, decoded by several threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torch import Tensor

from radapter.data.splits import UNREADABLE, Progress

Look = TypeVar("Look")

_BLOCK, _THREADS = 256, 4


def spread(keys: Tensor, sample: int | None) -> list[int]:
    """The indices of `sample` of N images, evenly spread and ascending; None takes all.

    `keys` are content hashes, (N,), int64. Images whose bytes could not be read are always included.
    """
    total = len(keys)
    if sample is None or sample >= total:
        return list(range(total))
    suspects = (keys == UNREADABLE).nonzero().flatten().tolist()
    return sorted({*suspects, *(number * total // sample for number in range(sample))})


def looked_at(
    look: Callable[[int], Look], chosen: Sequence[int], *, progress: Progress | None = None
) -> Iterator[Look]:
    """The result of `look` for each chosen image, in order; calls `progress` with (done, all)."""
    with ThreadPoolExecutor(_THREADS) as pool:
        # a block at a time: all at once would be a million futures
        for start in range(0, len(chosen), _BLOCK):
            yield from pool.map(look, chosen[start : start + _BLOCK])
            if progress is not None:
                progress(min(start + _BLOCK, len(chosen)), len(chosen))
