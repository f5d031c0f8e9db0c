"""Looking at pictures before anything is trained on them: a sample spread over a set, decoded by several threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torch import Tensor

from radapter.data.splits import UNREADABLE, Progress

Look = TypeVar("Look")

_BLOCK, _THREADS = 256, 4


def spread(keys: Tensor, sample: int | None) -> list[int]:
    """Which of N pictures are looked at, ascending.

    Args:
        keys: (N,), int64, content hashes; those whose bytes could not be read are always among them.
        sample: how many, spread evenly; None takes all.
    """
    total = len(keys)
    if sample is None or sample >= total:
        return list(range(total))
    suspects = (keys == UNREADABLE).nonzero().flatten().tolist()
    return sorted({*suspects, *(number * total // sample for number in range(sample))})


def looked_at(
    look: Callable[[int], Look], chosen: Sequence[int], *, progress: Progress | None = None
) -> Iterator[Look]:
    """What `look` says of each chosen picture, in order; `progress` is told (done, all)."""
    with ThreadPoolExecutor(_THREADS) as pool:
        # a block at a time: all at once would be a million futures
        for start in range(0, len(chosen), _BLOCK):
            yield from pool.map(look, chosen[start : start + _BLOCK])
            if progress is not None:
                progress(min(start + _BLOCK, len(chosen)), len(chosen))
