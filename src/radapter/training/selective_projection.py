"""SPD: AdamW, then a projection of each tensor towards its start, where the gradient selects it.

Source: Tian et al., "Rethinking weight decay for robust fine-tuning of foundation models", NeurIPS 2024; the
released optimizer is GT-RIPL/Selective-Projection-Decay, `adamSPD.py`. For each tensor, p0 is its start, p its value
before a step, p~ after it, g the gradient, and |.| the Frobenius norm:

    <g, p - p0> > 0    p <- p~ - lambda r (p~ - p0)        r = (|p~ - p0| - |p - p0|) / |p~ - p0|, within [0, 1]
    otherwise          p <- p~

lambda is `strength`. 0 is AdamW, 1 sets the distance from the start back to what it was before the step. It is not
multiplied by the learning rate. At the first step p is p0, so that step is AdamW's.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class SelectiveProjection(torch.optim.AdamW):
    """AdamW with the projection. The starts are the parameters' values when this is created."""

    def __init__(self, groups: Iterable[dict[str, Any]], *, strength: float, weight_decay: float) -> None:
        super().__init__(groups, weight_decay=weight_decay)
        self._strength = strength
        self._starts = {parameter: parameter.detach().clone() for parameter in self._parameters()}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of AdamW and the projection after it."""
        before = {p: (p - self._starts[p], p.grad) for p in self._parameters()}
        loss = super().step(closure)
        for parameter, (distance, gradient) in before.items():
            if gradient is None:
                continue
            now = parameter - self._starts[parameter]
            grown = now.norm() - distance.norm()
            ratio = (grown / now.norm().clamp_min(torch.finfo(now.dtype).tiny)).clamp(0, 1)
            is_selected = (gradient * distance).sum() > 0
            parameter.sub_(now * (self._strength * ratio * is_selected))
        return loss

    def _parameters(self) -> Iterable[Tensor]:
        return (parameter for group in self.param_groups for parameter in group["params"])
