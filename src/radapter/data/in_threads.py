"""Work on the members of groups, in threads, group after group; what comes out never depends on their number."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from radapter.data.pictures.pixel_budget import DECODING
from radapter.errors import ImageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # groups that threads work on while one is used


def attempt(one: Callable[[Item], Result], item: Item) -> Result | ImageError:
    """What `one` gives of an item, or the ImageError that it raises."""
    try:
        with DECODING.working():
            return one(item)
    except ImageError as error:
        return error


def in_threads(
    groups: Iterable[list[Item]], one: Callable[[Item], Result], workers: int
) -> Iterator[list[tuple[Item, Result | ImageError]]]:
    """Each group with what `one` gives of its items, in order.

    Args:
        groups: taken one at a time, a few ahead of what is asked for.
        one: works on an item; pictures that cannot be read are ImageErrors.
        workers: threads; 0 works in the caller's.
    """
    if workers == 0:
        for group in groups:
            yield [(item, attempt(one, item)) for item in group]
        return
    pool = ThreadPoolExecutor(workers)
    waiting: collections.deque[tuple[list[Item], list[Future[Result | ImageError]]]] = collections.deque()
    try:
        for group in groups:
            waiting.append((group, [pool.submit(attempt, one, item) for item in group]))
            if len(waiting) > _AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(
    group: list[Item], futures: list[Future[Result | ImageError]]
) -> list[tuple[Item, Result | ImageError]]:
    return [(item, future.result()) for item, future in zip(group, futures, strict=True)]
