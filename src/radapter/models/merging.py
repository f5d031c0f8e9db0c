"""Modules with PEFT's layers inside: their base weights, and merged copies.

PEFT puts a layer of its own in the place of an adapted one and keeps the original inside. PEFT's layers are
recognised by type, whatever the tuner.
"""

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from radapter.adapter import RAdapterLayer, set_alpha
from radapter.errors import ModelError
from radapter.models.encoder import DualEncoder
from radapter.storage import sha256_of_tensors

_WRAPPERS = BaseTunerLayer | AuxiliaryTrainingWrapper  # what PEFT puts in the place of a module
_SAFELY = {"safe_merge": True, "adapter_names": None}


def fingerprint(encoder: DualEncoder | nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the base parameters, sorted by name: 64 hexadecimal digits.

    It depends on neither device nor adapters. Raises ModelError if an adapter is merged into the weights.
    """
    module = _base(encoder.module if isinstance(encoder, DualEncoder) else encoder)
    return sha256_of_tensors(sorted(base_parameters(module), key=lambda item: item[0]))


def base_parameters(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters from before PEFT, with their former names. Raises ModelError if an adapter is merged."""
    if isinstance(module, BaseTunerLayer):
        if module.merged:
            raise ModelError(f"adapter at '{prefix}' must not be merged. Call unmerge_adapter() first.")
        yield from base_parameters(module.base_layer, prefix)
        return
    if isinstance(module, AuxiliaryTrainingWrapper):
        yield from base_parameters(module.original_module, prefix)
        return
    for name, parameter in module.named_parameters(recurse=False):
        yield prefix + name, parameter
    for name, child in module.named_children():
        yield from base_parameters(child, f"{prefix}{name}.")


def adapted_copy(module: nn.Module, *, alpha: float | None = None) -> nn.Module:
    """A copy on the CPU, in evaluation mode, with its adapters, at `alpha`. Raises as `set_alpha`."""
    twin: nn.Module = copy.deepcopy(_base(module)).cpu().eval()
    if alpha is not None:
        set_alpha(twin, alpha)
    return twin


@torch.no_grad()
def merge_in_place(module: nn.Module) -> nn.Module:
    """Merges the active adapters of every PEFT layer of any tuner, removes PEFT's layers and returns the module.

    Disabled adapters are left out. Raises MergeError if that gives non-finite weights, and ModelError for a kind of
    adapter that cannot be merged.
    """
    if isinstance(module, _WRAPPERS):
        raise ModelError(f"adapters must lie inside the model, got a {type(module).__name__} around it.")
    for name, child in module.named_children():
        if isinstance(child, BaseTunerLayer):
            setattr(module, name, _without_adapter(child, name))
        elif isinstance(child, AuxiliaryTrainingWrapper):
            setattr(module, name, child.unload_and_optionally_merge_module(merge=True, **_SAFELY))
        else:
            merge_in_place(child)
    if hasattr(module, "peft_config"):
        del module.peft_config  # transformers would save an adapter's files beside the model
    return module


def _base(module: nn.Module) -> nn.Module:
    base: nn.Module = module.get_base_model() if isinstance(module, PeftModel) else module
    return base


def _without_adapter(layer: Any, name: str) -> nn.Module:
    merge = not layer.disable_adapters and bool(layer.active_adapters)
    if layer.merged and not merge:
        layer.unmerge()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Already following|All) adapters .*merged")
        if not isinstance(layer, RAdapterLayer) and hasattr(layer, "unload_and_optionally_merge_module"):
            # LoRA of nn.MultiheadAttention: its parameters must be put back before it is whole
            return merge_in_place(layer.unload_and_optionally_merge_module(merge=merge, **_SAFELY))
        if not hasattr(layer, "base_layer"):
            raise ModelError(f"adapter at '{name}', a {type(layer).__name__}, cannot be merged.")
        if merge:
            layer.merge(safe_merge=True, adapter_names=None)
    base: nn.Module = layer.base_layer
    return base if not isinstance(base, _WRAPPERS) else _without_adapter(base, name)
