"""One entry of the list of losses: its name in run.yaml, its settings, and the function that training calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from radapter.losses.gather import Parts


class FeatureLoss(Protocol):
    """A loss with its settings bound, as `bound_loss` returns it."""

    def __call__(
        self, images: Tensor, others: Any, targets: Tensor, scale: Tensor, parts: Parts | None = None, /
    ) -> Tensor:
        """The scalar loss of image features (B, E) and text features (B, E), or a `LinearHead`.

        With `parts` these are this process's rows of a batch, and the loss is that of the whole batch.
        """


@dataclass(frozen=True)
class Loss:
    """A loss that a method can be trained with."""

    name: str  # `loss.name` in run.yaml
    function: Callable[..., Tensor]  # a `FeatureLoss` that takes the settings as further keyword arguments
    settings: Mapping[str, float] = field(default_factory=dict)  # `margin`, `label_smoothing`: defaults
    reads_logit_bias: bool = False


def own_targets(targets: Tensor, parts: Parts | None) -> Tensor:
    """Returns a different target for each row of the whole batch, so that each text is its image's only positive."""
    first = 0 if parts is None else parts.own.start
    return first + torch.arange(len(targets), device=targets.device)
