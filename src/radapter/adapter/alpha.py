"""Re-scaling: the share of the adapter in evaluation and merging.

Source: Kim et al., ECCV 2024. W(alpha) = alpha W_adapted + (1 - alpha) W_base, which is WiSE-FT's interpolation.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from torch import nn

from radapter.adapter.config import RAdapterConfig, check_alpha
from radapter.adapter.layer import RAdapterLayer
from radapter.errors import ConfigError, MergeError


class AlphaSetting:
    """The result of `set_alpha`: leaving it as a context manager restores the former values."""

    def __init__(self, former: list[tuple[RAdapterConfig, float]]) -> None:
        self._former = former

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for config, alpha in self._former:
            config.alpha = alpha


def set_alpha(model: Any, value: float) -> AlphaSetting:
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
    configs: Mapping[int, RAdapterConfig] = {
        id(layer.configs[name]): layer.configs[name]
        for layer in layers
        for name in layer.active_adapters
        if name in layer.configs
    }
    if not configs:
        raise ConfigError(
            f"model must have an active R-Adapter. Got a {type(model).__name__} with {len(layers)} adapter layers. "
            "Adapt it by peft.get_peft_model(module, RAdapterConfig())."
        )
    merged = sorted({name for layer in layers for name in layer.merged_adapters})
    if merged:
        raise MergeError(
            f"alpha must be set before merging. Merged are {merged}. Nothing was changed. "
            "Call unmerge_adapter(), set alpha and merge again."
        )
    setting = AlphaSetting([(config, config.alpha) for config in configs.values()])
    for config in configs.values():
        config.alpha = alpha
    return setting


def adapter_layers(model: Any) -> list[RAdapterLayer]:
    """The adapter layers inside a module, or inside the `.module` of anything else."""
    module = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model must be an nn.Module or have one as .module. Got {type(model).__name__}.")
    return [part for part in module.modules() if isinstance(part, RAdapterLayer)]
