"""Work on groups of items in threads, group by group. The results do not depend on the number of threads."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from radapter.data.images.pixel_budget import DECODING
from radapter.errors import ImageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2  # groups in work while the caller uses one


def attempt(one: Callable[[Item], Result], item: Item) -> Result | ImageError:
    """The result of `one` for an item, or the ImageError that it raises."""
    try:
        with DECODING.working():
            return one(item)
    except ImageError as error:
        return error


def in_threads(
    groups: Iterable[list[Item]], one: Callable[[Item], Result], workers: int
) -> Iterator[list[tuple[Item, Result | ImageError]]]:
    """Yields each group with the result of `one`, or its ImageError, for its items, in order.

    Reads a few groups ahead. With 0 `workers` it works in the calling thread.
    """
    if workers == 0:
        for group in groups:
            yield [(item, attempt(one, item)) for item in group]
        return
    pool = ThreadPoolExecutor(workers)
    waiting: collections.deque[list[tuple[Item, Future[Result | ImageError]]]] = collections.deque()
    try:
        for group in groups:
            waiting.append([(item, pool.submit(attempt, one, item)) for item in group])
            if len(waiting) > _AHEAD:
                yield [(item, future.result()) for item, future in waiting.popleft()]
        while waiting:
            yield [(item, future.result()) for item, future in waiting.popleft()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
