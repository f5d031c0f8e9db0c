"""A merged copy of a module: plain layers again, the module in memory unchanged."""

import copy
import warnings
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from radapter.adapter import RAdapterLayer, set_alpha
from radapter.errors import ModelError


def adapted_copy(module: nn.Module, *, alpha: float | None = None) -> nn.Module:
    """A copy on the CPU, in evaluation mode, with its adapters.

    Args:
        module: Does not change.
        alpha: Of the copy's R-Adapters; None keeps theirs.

    Raises:
        ConfigError: alpha is given and out of range, or there is no R-Adapter that could take it.
        MergeError: alpha is given and adapters are merged already.
    """
    base = module.get_base_model() if isinstance(module, PeftModel) else module
    twin: nn.Module = copy.deepcopy(base).cpu().eval()
    if alpha is not None:
        set_alpha(twin, alpha)
    return twin


@torch.no_grad()
def merge_in_place(module: nn.Module) -> nn.Module:
    """Merges the active adapters of every PEFT layer of any tuner, removes PEFT's layers and returns the module.

    Disabled adapters are left out of the weights.

    Raises:
        MergeError: Merging would give non-finite weights.
        ModelError: A kind of adapter cannot be merged.
    """
    if _is_wrapper(module):
        raise ModelError(
            f"adapters must lie inside the model. Got a {type(module).__name__} around all of it."
        )
    for name, child in module.named_children():
        if isinstance(child, BaseTunerLayer):
            setattr(module, name, _without_adapter(child, name))
        elif isinstance(child, AuxiliaryTrainingWrapper):
            setattr(module, name, _trained_part(child))
        else:
            merge_in_place(child)
    if hasattr(module, "peft_config"):
        del module.peft_config  # transformers would save an adapter's files beside the model
    return module


def _is_wrapper(module: nn.Module) -> bool:
    """Whether PEFT put this module in the place of another."""
    return isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)


def _without_adapter(layer: Any, name: str) -> nn.Module:
    merge = not layer.disable_adapters and bool(layer.active_adapters)
    if layer.merged and not merge:
        layer.unmerge()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Already following|All) adapters .*merged")
        if isinstance(layer, RAdapterLayer) or not hasattr(layer, "unload_and_optionally_merge_module"):
            if not hasattr(layer, "base_layer"):
                raise ModelError(f"adapter at '{name}', a {type(layer).__name__}, cannot be merged.")
            if merge:
                layer.merge(safe_merge=True, adapter_names=None)
        else:
            # LoRA of nn.MultiheadAttention: its parameters must be put back before it is whole
            plain: nn.Module = layer.unload_and_optionally_merge_module(
                merge=merge, safe_merge=True, adapter_names=None
            )
            return merge_in_place(plain)
    base: nn.Module = layer.base_layer
    return base if not _is_wrapper(base) else _without_adapter(base, name)


def _trained_part(wrapper: Any) -> nn.Module:
    part: nn.Module = wrapper.unload_and_optionally_merge_module(
        merge=True, safe_merge=True, adapter_names=None
    )
    return part
