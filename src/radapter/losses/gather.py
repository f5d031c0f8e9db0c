"""One batch out of the parts that several processes hold: rows in the order of the ranks, ragged parts allowed.

`Parts.joined` is differentiated and makes any loss of a batch one of many processes; `gather_rows` and what it is
made of are not: a loss that uses them writes its own backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch import distributed as dist


@final
@dataclass(frozen=True)
class Parts:
    """How the rows of one batch are spread over processes.

    Attributes:
        group: the processes, this one among them.
        sizes: rows of each, by rank, at least 1.
    """

    group: dist.ProcessGroup
    sizes: tuple[int, ...]

    @property
    def own(self) -> slice:
        """Which rows of the whole batch this process holds."""
        rank = dist.get_rank(self.group)
        first = sum(self.sizes[:rank])
        return slice(first, first + self.sizes[rank])

    def joined(self, rows: Tensor) -> Tensor:
        """The rows of the whole batch, of which this process's own carry its graph.

        Every process computes the whole loss L of them, so own rows get dL/d(row) times the number of processes: a
        distributed wrapper averages gradients where their sum over processes is meant. What the loss reads besides,
        such as a head, has the whole gradient in every process already, and the average leaves it.

        Args:
            rows: of this process, (sizes[rank], ...).

        Returns:
            (sum of sizes, ...).
        """
        joined: Tensor = _Joined.apply(rows, self)
        return joined


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, parts: Parts) -> Tensor:
        ctx.parts = parts
        return gather_rows(rows, parts.sizes, parts.group)

    @staticmethod
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor, None]:
        return outward[ctx.parts.own] * len(ctx.parts.sizes), None


def exchange_batch_sizes(rows: int, device: torch.device, group: dist.ProcessGroup) -> tuple[int, ...]:
    """How many rows each process of `group` holds, by rank. Waits for the device.

    Args:
        rows: of this process.
        device: where the group's backend reads tensors (NCCL: the GPU).
        group: of which this process is a member.

    Returns:
        One size a process.
    """
    sizes = gather_equal(torch.full((1,), rows, dtype=torch.long, device=device), group)
    return tuple(int(size) for size in sizes.tolist())


def gather_rows(rows: Tensor, batch_sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """The rows of every process, in the order of the ranks; does not wait for the device.

    Collectives want one shape everywhere, so shorter parts travel padded to the longest.

    Args:
        rows: of this process, (batch_sizes[rank], ...).
        batch_sizes: rows of each process, by rank; the same on every process.
        group: of which this process is a member.

    Returns:
        (sum of batch_sizes, ...), dtype of `rows`.
    """
    longest = max(batch_sizes)
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered = gather_equal(padded, group)
    if min(batch_sizes) == longest:
        return gathered
    parts = gathered.view(len(batch_sizes), longest, *rows.shape[1:])
    return torch.cat([part[:size] for part, size in zip(parts, batch_sizes, strict=True)])


def gather_equal(rows: Tensor, group: dist.ProcessGroup) -> Tensor:
    """As `gather_rows`, where every process holds (N, ...): returns (processes * N, ...)."""
    gathered = rows.new_empty((dist.get_world_size(group) * len(rows), *rows.shape[1:]))
    dist.all_gather_into_tensor(gathered, rows.contiguous(), group=group)
    return gathered
