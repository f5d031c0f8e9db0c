"""One batch out of the parts that several processes hold: rows in the order of the ranks, ragged parts allowed.

Nothing here is differentiated: a loss that uses these writes its own backward pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch import distributed as dist


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
