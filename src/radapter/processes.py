"""The processes that run one command together, as `torchrun` or `accelerate launch` started them.

All communication between processes except gradients and features goes through this file and needs no GPU. An error
inside `together`, `on_main` or `in_turn` is raised in every process, and the main one prints it. Any other error
ends its own process, and the launcher ends the rest.
"""

import gc
import logging
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import Any, TypeVar, final

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from radapter.errors import ConfigError, PeerError, RAdapterError

T = TypeVar("T")
P = TypeVar("P")

STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)  # Windows has the first two
)
"""Signals by which people, terminals and schedulers end a run."""
TIMEOUT_MINUTES = 30.0
"""Default minutes after which a command stops waiting for a process that does not answer."""

_LOG = logging.getLogger(__name__)
_SHARED = "_radapter_shared"
_WRAPPERS = {
    "ACCELERATE_USE_FSDP": "--use_fsdp",
    "ACCELERATE_USE_DEEPSPEED": "--use_deepspeed",
    "ACCELERATE_USE_MEGATRON_LM": "--use_megatron_lm",
}


@final
class Processes:
    """This process among those that run the same command; `ALONE` is a process without others.

    The backend of `group` reads tensors on their device, for losses and gradients; that of `host`, which may be the
    same, reads them on the CPU. `rank` 0 of `size` is the main process, which writes and prints.
    """

    def __init__(self, group: dist.ProcessGroup | None = None, host: dist.ProcessGroup | None = None) -> None:
        self.group = group
        self._host = host or group
        self.rank = 0 if group is None else dist.get_rank(group)
        self.size = 1 if group is None else dist.get_world_size(group)

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """This process's consecutive share of `total` items; shares differ by at most one item."""
        return share(total, self.rank, self.size)

    def shares(self, total: int) -> tuple[int, ...]:
        """The number of items in each process's share, by rank."""
        return tuple(len(share(total, rank, self.size)) for rank in range(self.size))

    def gather(self, value: T) -> list[T]:
        """The value of every process, by rank, in all of them."""
        if self.group is None:
            return [value]
        found: list[Any] = [None] * self.size
        with self.losing_none():
            dist.all_gather_object(found, value, group=self._host)
        return found

    def gather_on_main(self, value: T) -> list[T]:
        """The value of every process, by rank, in the main one; an empty list in the others."""
        if self.group is None:
            return [value]
        found: list[Any] | None = [None] * self.size if self.is_main else None
        with self.losing_none():
            dist.gather_object(value, found, dst=0, group=self._host)
        return found or []

    def together(self, work: Callable[[], T]) -> list[T]:
        """The result of `work` in every process, by rank. If it fails in one, the error of the lowest rank is raised
        in all; its notes name the ranks that failed, unless all did."""
        if self.group is None:
            return [work()]
        done: list[T] = []
        error: Exception | None = None
        try:
            done.append(work())
        except Exception as caught:
            error = caught
        found = self.gather((done, None if error is None else _sendable(error, self.rank)))
        failed = {rank: other for rank, (_, other) in enumerate(found) if other is not None}
        if failed:
            first = min(failed)
            raised = error if error is not None and first == self.rank else failed[first]
            if len(failed) < self.size and list(failed) != [0]:
                raised.add_note(f"In process {', '.join(map(str, failed))} of {self.size}.")
            raise shared(raised)
        return [value for (value,), _ in found]

    def everywhere(self, work: Callable[[], T]) -> T:
        """The result of `work` in this process, once all are done; an error in one is raised in all."""
        kept: list[T] = []
        self.together(lambda: kept.append(work()))
        return kept[0]

    def on_main(self, work: Callable[[], T]) -> T:
        """The result of `work`, which only the main process runs, in all processes; so are its errors."""
        return self.together(lambda: work() if self.is_main else None)[0]  # type: ignore[return-value]

    def in_turn(self, parts: Sequence[P], work: Callable[[P], Tensor]) -> Iterator[Tensor]:
        """The result of `work` for each part, in order, in all processes, on the CPU; each part is done by one."""
        for start in range(0, len(parts), self.size):
            own = parts[start + self.rank : start + self.rank + 1]  # empty for some in the last round
            found = self.together(lambda own=own: [work(part).cpu() for part in own])  # type: ignore[misc]
            yield from chain.from_iterable(found)

    @contextmanager
    def losing_none(self) -> Iterator[None]:
        """Turns a backend's error in the block, because another process ended or hangs, into a PeerError."""
        try:
            yield
        except RuntimeError as error:
            if self.group is None or not _is_of_others(error):
                raise
            raise PeerError(
                f"every process of a command must answer the others. Process {self.rank} of {self.size} lost them: "
                f"{str(error).splitlines()[0]}. A process that ended prints why; one that hangs is "
                "given up after train.timeout_minutes. Start the same command with --resume to continue."
            ) from error

    def wait(self) -> None:
        """Waits until every process calls this."""
        if self._host is not None:
            with self.losing_none():
                dist.barrier(self._host)

    def leave(self) -> None:
        """Leaves the process group for good: a thread of the backend that still runs while Python shuts down can
        abort the process (PyTorch issue 190489)."""
        if self.group is not None:
            dist.destroy_process_group()
            self.group = self._host = None
            _JOINED.clear()
            gc.collect()  # a model that was trained in several processes refers to itself and to the group


ALONE = Processes()
_JOINED: list[Processes] = []


def launched() -> int:
    """The number of processes that a launcher started, read from the environment; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def join(*, timeout_minutes: float = TIMEOUT_MINUTES) -> Processes:
    """This process among those that a launcher started, after all have met; `ALONE` if it started none.

    A process that does not answer for `timeout_minutes` is given up; the first call sets them. Raises ConfigError if
    the launcher would wrap the model itself, and PeerError if the processes do not meet.
    """
    if not _JOINED:
        _JOINED.append(_joined(timedelta(minutes=timeout_minutes)))
    return _JOINED[0]


def _joined(timeout: timedelta) -> Processes:
    for flag, option in _WRAPPERS.items():
        if os.environ.get(flag, "false").lower() == "true":
            raise ConfigError(
                f"accelerate launch must only start processes. {option} was given. Leave it out, and set "
                "train.fsdp=true for towers that do not fit one device."
            )
    if launched() == 1:
        # accelerate sets an address for several processes, but starts one without mpirun
        if os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true" and "MASTER_ADDR" in os.environ:
            _LOG.warning(
                "accelerate launch --cpu has started one process, which does all the work alone. For several on the "
                "CPU use torchrun --nproc-per-node, or accelerate launch --multi_gpu, without --cpu."
            )
        return ALONE
    from accelerate import PartialState

    try:
        # torchrun keeps its store, with the addresses of ended processes, when it starts processes again
        store, rank, size = next(rendezvous("env://", timeout=timeout))
        store = PrefixStore(f"restart-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        PartialState(
            cpu=not torch.accelerator.is_available(), timeout=timeout, store=store, rank=rank, world_size=size
        )
    except RuntimeError as error:
        if not _is_of_others(error):
            raise
        raise PeerError(
            f"the {launched()} processes of a command must meet within train.timeout_minutes. They did not: "
            f"{str(error).splitlines()[0]}. Look at the other processes' lines and at the launcher's address."
        ) from error
    world = dist.group.WORLD
    assert isinstance(world, dist.ProcessGroup)
    host = world if dist.get_backend() == "gloo" else dist.new_group(backend="gloo", timeout=timeout)
    assert isinstance(host, dist.ProcessGroup)
    return Processes(world, host)


def _is_of_others(error: RuntimeError) -> bool:
    """Whether the backend raised it; gloo raises plain RuntimeErrors that name its source file."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def shared(error: BaseException) -> BaseException:
    """Marks an error that every process raises, so that only the main one prints it. Returns it."""
    error.__dict__[_SHARED] = True
    return error


def is_shared(error: BaseException) -> bool:
    """Whether every process raises this error."""
    return bool(error.__dict__.get(_SHARED, False))


def share(total: int, rank: int, size: int) -> range:
    """The consecutive share of `total` items of one of `size` processes; shares differ by at most one item."""
    each, more = divmod(total, size)
    first = rank * each + min(rank, more)
    return range(first, first + each + (rank < more))


def _sendable(error: Exception, rank: int) -> Exception:
    if not isinstance(error, RAdapterError) and rank:
        error.add_note("".join(traceback.format_exception(error)))
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
