"""What a loss is, and one batch whose rows several processes hold, in the order of their ranks.

`Parts.joined` is differentiable and turns any loss of a batch into a loss over many processes. `gather_rows` and
`gather_equal` are not: a loss that uses them defines its own backward pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, final

import torch
from torch import Tensor
from torch import distributed as dist

from radapter.errors import ConfigError

Reduction = Literal["mean", "sum"]  # DistributedDataParallel and FSDP take the mean


@final
@dataclass(frozen=True)
class Parts:
    """How the rows of one batch are spread over processes."""

    group: dist.ProcessGroup  # this process among them
    sizes: tuple[int, ...]  # rows of each process, by rank, at least 1
    gradient_reduction: Reduction = "mean"  # of the processes' gradients by the caller

    def __post_init__(self) -> None:
        if self.gradient_reduction not in ("mean", "sum"):
            raise ConfigError(f"gradient_reduction must be 'mean' or 'sum', got {self.gradient_reduction!r}.")

    @classmethod
    def of(cls, rows: Tensor, group: dist.ProcessGroup, gradient_reduction: Reduction = "mean") -> Self:
        """Asks every process of `group` for its number of rows; `rows` are those of this one. Waits for the GPU."""
        size = torch.full((1,), len(rows), dtype=torch.long, device=rows.device)
        return cls(group, tuple(gather_equal(size, group).tolist()), gradient_reduction)

    @property
    def own(self) -> slice:
        """The rows of the whole batch that this process holds."""
        rank = dist.get_rank(self.group)
        first = sum(self.sizes[:rank])
        return slice(first, first + self.sizes[rank])

    @property
    def factor(self) -> int:
        """The factor on gradients: a mean over the processes divides by their number where their sum is needed."""
        return len(self.sizes) if self.gradient_reduction == "mean" else 1

    def joined(self, rows: Tensor) -> Tensor:
        """The rows of the whole batch, from (sizes[rank], ...); only this process's own carry a graph.

        Every process computes the whole loss L of them, so own rows get dL/d(row) times `factor`. What else the loss
        reads, such as a head, has the whole gradient in every process already, and the mean does not change it.
        """
        joined: Tensor = _Joined.apply(rows, self)
        return joined


class FeatureLoss(Protocol):
    """A loss with its settings bound, as `bound_loss` returns it."""

    def __call__(
        self, images: Tensor, others: Any, targets: Tensor, scale: Tensor, parts: Parts | None = None, /
    ) -> Tensor:
        """The scalar loss of image features (B, E) and text features (B, E), or a head.

        With `parts` these are this process's rows of a batch, and the loss is that of the whole batch.
        """


@dataclass(frozen=True)
class Loss:
    """A loss that a method can be trained with."""

    name: str  # `loss.name` in run.yaml
    function: Callable[..., Tensor]  # a `FeatureLoss` that takes the settings as further keyword arguments
    settings: Mapping[str, float] = field(default_factory=dict)  # `margin`, `label_smoothing`: defaults
    reads_logit_bias: bool = False
    reads_head: bool = False  # rather than texts


def own_targets(targets: Tensor, parts: Parts | None) -> Tensor:
    """Returns a different target for each row of the whole batch, so that each text is its image's only positive."""
    first = 0 if parts is None else parts.own.start
    return first + torch.arange(len(targets), device=targets.device)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, parts: Parts) -> Tensor:
        ctx.parts = parts
        return gather_rows(rows, parts.sizes, parts.group)

    @staticmethod
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor, None]:
        return outward[ctx.parts.own] * ctx.parts.factor, None


def gather_rows(rows: Tensor, sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """The rows of every process, (sum of sizes, ...), from (sizes[rank], ...); does not wait for the device.

    Collectives need one shape everywhere, so shorter parts are padded to the longest.
    """
    longest = max(sizes)
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered = gather_equal(padded, group)
    if min(sizes) == longest:
        return gathered
    parts = gathered.view(len(sizes), longest, *rows.shape[1:])
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


def gather_equal(rows: Tensor, group: dist.ProcessGroup) -> Tensor:
    """As `gather_rows`, if every process holds (N, ...): returns (processes * N, ...)."""
    gathered = rows.new_empty((dist.get_world_size(group) * len(rows), *rows.shape[1:]))
    dist.all_gather_into_tensor(gathered, rows.contiguous(), group=group)
    return gathered
