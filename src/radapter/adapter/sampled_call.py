"""Calls of an attention for some samples of a batch, with other weights for each call.

An attention treats samples independently, so a batch can be run in groups that differ in their weights.
"""

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class SampledCall:
    """A call of a module that can be repeated for some samples of its batch. `axis` is that of the samples."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], axis: int) -> None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        self._module, self._bound, self._axis = module, bound, axis
        first: Tensor = next(iter(bound.arguments.values()))
        self._is_batched = first.ndim > 2  # otherwise all tokens are one sample
        self.samples = first.shape[axis] if self._is_batched else 1

    def __call__(self, samples: Tensor, tensors: dict[str, Tensor]) -> Any:
        """Runs the module with these tensors for `samples`, (K,), on the CPU."""
        arguments = self._bound.arguments
        if self._is_batched and len(samples) < self.samples:
            chosen = {id(v): self._chosen(name, v, samples) for name, v in arguments.items() if _is_tensor(v)}
            # one object stays one object: nn.MultiheadAttention projects q, k and v at once if they are the same
            arguments = {name: chosen.get(id(value), value) for name, value in arguments.items()}
        positional = inspect.BoundArguments(self._bound.signature, OrderedDict(arguments))
        return functional_call(self._module, tensors, positional.args, positional.kwargs)

    def joined(self, outputs: Sequence[Any], order: Tensor) -> Any:
        """The outputs of several calls as one, in the order of the batch."""
        if len(outputs) == 1:
            return outputs[0]
        back = order.argsort()
        if not isinstance(outputs[0], tuple):
            return _joined(outputs, self._axis, back)
        features, weights = zip(*outputs, strict=True)  # nn.MultiheadAttention's
        return _joined(features, self._axis, back), None if weights[0] is None else _joined(weights, 0, back)

    def _chosen(self, name: str, value: Tensor, samples: Tensor) -> Tensor:
        where = samples.to(value.device)
        if name == "attn_mask":  # (L, L) for all samples, or (B * heads, L, L)
            if value.ndim == 2:
                return value
            of_samples = value.view(self.samples, -1, *value.shape[1:])
            return of_samples[where].flatten(0, 1)
        return value.index_select(0 if name == "key_padding_mask" else self._axis, where)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _joined(tensors: Sequence[Tensor], axis: int, back: Tensor) -> Tensor:
    return torch.cat(list(tensors), axis).index_select(axis, back.to(tensors[0].device))
