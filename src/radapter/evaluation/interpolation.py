"""A module at any point between two of its states: the ensemble in weight space.

    theta(alpha) = (1 - alpha) theta_original + alpha theta_tuned

Source: WiSE-FT, Wortsman et al., CVPR 2022 (arXiv 2109.01903). For merged linear adapters it is the paper's
re-scaling: W_org (alpha A + I) is the point alpha between W_org and W_org (A + I).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from radapter.adapter.config import check_alpha
from radapter.errors import did_you_mean


@final
class Interpolation:
    """Moves a module between its original and its tuned weights, in place.

    Both map names of the module's parameters and buffers to tensors. Raises ValueError if the names differ, are not
    in the module, or a shape does not fit.
    """

    def __init__(
        self, module: nn.Module, original: Mapping[str, Tensor], tuned: Mapping[str, Tensor]
    ) -> None:
        if original.keys() != tuned.keys():
            only = sorted(original.keys() ^ tuned.keys())
            raise ValueError(
                f"original and tuned must hold the same names. {len(only)} are in only one: "
                f"{', '.join(only[:3])}. Take both from the same module."
            )
        live = _tensors(module)
        for name in original:
            if name not in live:
                raise ValueError(
                    f"every name must be a parameter or buffer of the module. '{name}' is not."
                    f"{did_you_mean(name, live)}"
                )
            shapes = {tuple(of[name].shape) for of in (live, original, tuned)}
            if len(shapes) > 1:
                raise ValueError(f"'{name}' must have one shape everywhere. Got {sorted(shapes)}.")
        self.module = module
        self._ends = {
            name: (original[name].detach().clone(), tuned[name].detach().clone())
            for name in original
            if not _same(original[name], tuned[name])
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters and buffers that differ between the two states."""
        return tuple(self._ends)

    @contextmanager
    def at(self, alpha: float) -> Iterator[None]:
        """Gives the module the weights at `alpha` while the block runs, and restores it bitwise.

        At 0 and 1 the weights are copied, not computed. Between them the sum is in float32 or wider. Integer tensors
        (a count of batches seen) have the tuned value at every alpha but 0. Raises ConfigError if alpha is outside
        [0, 1].
        """
        check_alpha(alpha)
        live = {name: tensor.detach() for name, tensor in _tensors(self.module).items() if name in self._ends}
        before = {name: tensor.clone() for name, tensor in live.items()}
        try:
            for name, (original, tuned) in self._ends.items():
                live[name].copy_(_between(original, tuned, alpha))
            yield
        finally:
            for name, tensor in before.items():
                live[name].copy_(tensor)


def _between(original: Tensor, tuned: Tensor, alpha: float) -> Tensor:
    if alpha == 0:
        return original
    if alpha == 1 or not original.is_floating_point():
        return tuned
    wide = torch.promote_types(original.dtype, torch.float32)
    return torch.lerp(original.to(wide), tuned.to(device=original.device, dtype=wide), alpha)


def _same(original: Tensor, tuned: Tensor) -> bool:
    return original.dtype == tuned.dtype and torch.equal(original, tuned.to(original.device))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(module.named_buffers(remove_duplicate=False)),
        **dict(module.named_parameters(remove_duplicate=False)),
    }
