"""Re-scaling: the share of the adapter in evaluation and merging.

Source: Kim et al., ECCV 2024. W(alpha) = alpha W_adapted + (1 - alpha) W_base, which is WiSE-FT's interpolation.
"""

from contextlib import AbstractContextManager, ExitStack
from typing import Any

from torch import nn

from radapter.adapter.config import check_alpha
from radapter.adapter.layer import RAdapterLayer
from radapter.errors import ConfigError, MergeError


def set_alpha(model: Any, value: float) -> AbstractContextManager[object]:
    """Sets alpha of the active adapters, at once; `with set_alpha(model, 0.5): ...` restores it at the end.

    It acts in evaluation mode and in later merges, and is saved with the adapter. Training always uses 1.

    Args:
        model: A PeftModel, an adapted module, or anything whose `.module` is one.
        value: In [0, 1]; 0 is the base model.

    Raises:
        ConfigError: value is outside [0, 1], or the model has no active R-Adapter.
        MergeError: The adapters are merged, so alpha has no effect.
    """
    alpha = check_alpha(value)
    layers = adapter_layers(model)
    active = [
        layer.configs[name] for layer in layers for name in layer.active_adapters if name in layer.configs
    ]
    if not active:
        raise ConfigError(
            f"model must have an active R-Adapter. Got a {type(model).__name__} with {len(layers)} adapter layers. "
            "Adapt it by peft.get_peft_model(module, RAdapterConfig())."
        )
    if merged := merged_adapters(layers):
        raise MergeError(
            f"alpha must be set before merging {merged}. Call unmerge_adapter(), set alpha and merge again."
        )
    setting = ExitStack()
    for config in {id(config): config for config in active}.values():
        setting.callback(setattr, config, "alpha", config.alpha)
        config.alpha = alpha
    return setting


def adapter_layers(model: Any) -> list[RAdapterLayer]:
    """The adapter layers inside a module, or inside the `.module` of anything else."""
    module = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model must be an nn.Module or have one as .module. Got {type(model).__name__}.")
    return [part for part in module.modules() if isinstance(part, RAdapterLayer)]


def merged_adapters(layers: list[RAdapterLayer]) -> list[str]:
    """The names of the adapters that are merged in any of the layers."""
    return sorted({name for layer in layers for name in layer.merged_adapters})
