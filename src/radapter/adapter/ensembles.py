"""The self-ensembles over weights: re-scaling (alpha) and accumulation (EMA).

Source: Kim et al., ECCV 2024. Re-scaling sets the share of the adapter in evaluation and merging, which is WiSE-FT's
interpolation: W(alpha) = alpha W_adapted + (1 - alpha) W_base. Accumulation is an exponential moving average of what
is trained, used for evaluation and merging. m is `decay`; after every optimizer step

    average <- m average + (1 - m) trained

The average of an adapter is a second adapter, named "ema", so PEFT provides switching, saving and merging. Averages
of other trained parameters (a head, a whole tower in full fine-tuning) are tensors kept here. Buffers are not
averaged.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from radapter.adapter.config import check_alpha
from radapter.adapter.layer import RAdapterLayer, RescalableLayer
from radapter.errors import ConfigError, MergeError

EMA_ADAPTER = "ema"
_Layer = TypeVar("_Layer", bound=nn.Module | RescalableLayer)


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
    layers = _layers_of(model, RescalableLayer)
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


def has_alpha(model: Any) -> bool:
    """Whether `set_alpha` acts on the model."""
    return bool(_layers_of(model, RescalableLayer))


def adapter_layers(model: Any) -> list[RAdapterLayer]:
    """The layers of R-Adapters inside a module, or inside the `.module` of anything else."""
    return _layers_of(model, RAdapterLayer)


def _layers_of(model: Any, kind: type[_Layer]) -> list[_Layer]:
    module = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model must be an nn.Module or have one as .module. Got {type(model).__name__}.")
    return [part for part in module.modules() if isinstance(part, kind)]


def merged_adapters(layers: Sequence[RescalableLayer]) -> list[str]:
    """The names of the adapters that are merged in any of the layers."""
    return sorted({name for layer in layers for name in layer.merged_adapters})


class Ema:
    """The moving average of everything in `model` that is trainable now; it starts as a copy, float32 or wider.

    For a model with R-Adapters the average of the active one becomes the adapter "ema": never trained, not active
    unless `applied`, removed by PEFT's `delete_adapter("ema")`.

    Args:
        model: A PeftModel, any nn.Module (adapted or not, with or without a head), or an object with a `.module`.
        decay: m, in [0, 1]; taken literally. `auto_decay` fits it to the number of steps.

    Raises:
        ConfigError: decay is outside [0, 1], nothing is trainable, several adapters are active, or "ema" exists.
    """

    def __init__(self, model: Any, decay: float = 0.999) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ConfigError(f"decay must be in [0, 1]. Got {decay!r}. The paper uses 0.999.")
        self.decay = decay
        self._layers = adapter_layers(model)
        self._module: nn.Module = model if isinstance(model, nn.Module) else model.module
        self._wrappers = [part for part in self._module.modules() if isinstance(part, ModulesToSaveWrapper)]
        self._applied = False
        trained = {name: value for name, value in self._module.named_parameters() if value.requires_grad}
        if not trained:
            raise ConfigError("model has no trainable parameters. Make the average before freezing it.")
        averages = self._add_ema_adapter()
        self._trained: Mapping[str, Tensor] = trained
        self._averages = {name: averages.get(id(value), _wide_copy(value)) for name, value in trained.items()}
        # the names of what has no adapter for its average
        self._beside = [name for name, value in trained.items() if id(value) not in averages]

    @torch.no_grad()
    def update(self) -> None:
        """One step of the average, after each optimizer step that was not skipped; not inside `applied()`."""
        self._check_outside("update")
        for name, value in self._trained.items():
            if self._averages[name].device != value.device:  # the model has moved since
                self._averages[name] = self._averages[name].to(value.device)
        averages = list(self._averages.values())
        values = [self._trained[name].to(average.dtype) for name, average in self._averages.items()]
        torch._foreach_lerp_(averages, values, 1.0 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A block in which the model runs with its averages; afterwards the trained values are restored bitwise.

        The active adapter and requires_grad are restored too, and merges inside the block are undone. Inside another
        `applied()` of the same object it does nothing. Raises MergeError if adapters are merged already.
        """
        if self._applied:
            yield
            return
        if merged := merged_adapters(self._layers):
            raise MergeError(f"adapters must not be merged. Got {merged}. Call unmerge_adapter() first.")
        with ExitStack() as restored:
            self._activate_ema(restored)
            for name in self._beside:
                value = self._trained[name]
                restored.callback(_assign, value, value.detach().clone())
                _assign(value, self._averages[name])
            self._keep_requires_grad(restored)
            self._applied = True
            try:
                yield
            finally:
                self._applied = False
                for layer in self._layers:
                    if layer.merged:
                        layer.unmerge()

    def adopt(self) -> None:
        """Ends the accumulation: the trained parameters take the averages, and the adapter "ema" is removed."""
        self._check_outside("adopt")
        for name, average in self._averages.items():
            _assign(self._trained[name], average)
        for part in (*self._layers, *self._wrappers):
            part.delete_adapter(EMA_ADAPTER)
        for configs in self._tuner_configs():
            configs.pop(EMA_ADAPTER, None)
        self._layers, self._wrappers, self._beside = [], [], list(self._trained)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages under the names of what they average, for a checkpoint; not copied."""
        return {name: average.detach() for name, average in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a `state_dict`. Raises ConfigError if names or shapes differ; nothing is loaded."""
        missing, unknown = sorted(set(self._averages) - set(state)), sorted(set(state) - set(self._averages))
        if missing or unknown:
            raise ConfigError(
                f"state must hold the averages of this model. Missing: {missing[:3]}, unknown: {unknown[:3]}. "
                "Make the model and the average as in the run that saved them."
            )
        for name, average in self._averages.items():
            if state[name].shape != average.shape:
                wanted, found = tuple(average.shape), tuple(state[name].shape)
                raise ConfigError(f"state[{name!r}] must have shape {wanted}, got {found}.")
        for name, average in self._averages.items():
            _assign(average, state[name])

    def _add_ema_adapter(self) -> dict[int, Tensor]:
        """Adds the adapter "ema" as a copy of the active one; its tensors by the id of what they average."""
        active = {tuple(layer.active_adapters) for layer in self._layers}
        if not active:
            return {}
        if len(active) > 1 or len(next(iter(active))) != 1:
            raise ConfigError(f"one adapter must be active for an average, got {sorted(active)}. Set one.")
        if any(EMA_ADAPTER in layer.configs for layer in self._layers):
            raise ConfigError('model has an adapter "ema" already. Remove it by delete_adapter("ema").')
        source: str = next(iter(active))[0]
        layers = [layer for layer in self._layers if source in layer.configs]
        config = copy.deepcopy(layers[0].configs[source])
        for configs in self._tuner_configs():
            configs[EMA_ADAPTER] = config  # from here on PEFT knows the adapter
        averages: dict[int, Tensor] = {}
        with ExitStack() as restored:
            self._keep_requires_grad(restored)  # adding an adapter resets it
            for layer in layers:
                layer.update_layer(EMA_ADAPTER, config)
                stores = (getattr(layer, attribute) for attribute in layer.adapter_layer_names)
                for store in (store for store in stores if source in store):
                    store[EMA_ADAPTER] = nn.Parameter(_wide_copy(store[source]), requires_grad=False)
                    averages[id(store[source])] = store[EMA_ADAPTER]
            for wrapper in self._wrappers:
                if source in wrapper.modules_to_save:
                    wrapper.update(EMA_ADAPTER)
                    tuned, mean = (wrapper.modules_to_save[name] for name in (source, EMA_ADAPTER))
                    for value, average in zip(tuned.parameters(), mean.parameters(), strict=True):
                        average.data = _wide_copy(value)
                        average.requires_grad_(False)
                        averages[id(value)] = average
        return averages

    def _check_outside(self, method: str) -> None:
        if self._applied:
            raise RuntimeError(f"{method}() must be called outside applied(). Leave the block first.")

    def _tuner_configs(self) -> Iterator[dict[str, Any]]:
        for part in self._module.modules():
            configs = vars(part).get("peft_config")
            if isinstance(configs, dict):
                yield configs

    def _keep_requires_grad(self, restored: ExitStack) -> None:
        for value in self._module.parameters():
            restored.callback(value.requires_grad_, value.requires_grad)

    def _activate_ema(self, restored: ExitStack) -> None:
        # not PEFT's set_adapter: it would make "ema" trainable and freeze what is trained
        layers = [layer for layer in self._layers if EMA_ADAPTER in layer.configs]
        wrappers = [part for part in self._wrappers if EMA_ADAPTER in part.modules_to_save]
        tuners = [part for part in self._module.modules() if isinstance(part, BaseTuner | PeftModel)]
        switches: list[tuple[Any, str, Any]] = [
            *((layer, "_active_adapter", [EMA_ADAPTER]) for layer in layers),
            *((wrapper, "_active_adapter", EMA_ADAPTER) for wrapper in wrappers),
            *((tuner, "active_adapter", EMA_ADAPTER) for tuner in tuners if layers),
        ]
        for part, name, value in switches:
            restored.callback(setattr, part, name, getattr(part, name))
            setattr(part, name, value)


def auto_decay(steps: int) -> float:
    """clamp(1 - 25 / steps, 0, 0.999): the average spans 4 % of the run. Raises ConfigError for steps < 1."""
    if steps < 1:
        raise ConfigError(f"steps must be at least 1. Got {steps}.")
    return min(max(1.0 - 25.0 / steps, 0.0), 0.999)


@torch.no_grad()
def _assign(target: Tensor, value: Tensor) -> None:
    target.copy_(value)


def _wide_copy(value: Tensor) -> Tensor:
    """In half precision a decay of 0.999 would round away every step."""
    return value.detach().to(torch.promote_types(value.dtype, torch.float32), copy=True)
