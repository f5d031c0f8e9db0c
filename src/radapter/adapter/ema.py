"""Accumulation: an exponential moving average of what is trained, used for evaluation and merging.

Source: Kim et al., ECCV 2024. m is `decay`; after every optimizer step

    average <- m average + (1 - m) trained

The average of an adapter is a second adapter, named "ema", so PEFT provides switching, saving and merging. Averages
of other trained parameters (a head, a whole tower in full fine-tuning) are tensors kept here. Buffers are not
averaged.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import ModulesToSaveWrapper
from torch import Tensor, nn

from radapter.adapter.alpha import adapter_layers, merged_adapters
from radapter.adapter.layer import RAdapterLayer
from radapter.errors import ConfigError, MergeError

EMA_ADAPTER = "ema"


class Ema:
    """The moving average of everything in `model` that is trainable now; it starts as a copy.

    For a model with R-Adapters the average of the active one becomes the adapter "ema": never trained, not active
    unless `applied`, removed by PEFT's `delete_adapter("ema")`. Averages are float32 or wider.

    Args:
        model: A PeftModel, any nn.Module (adapted or not, with or without a head), or an object with one as
            `.module`.
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
        self._names = list(trained)
        self._trained: list[Tensor] = list(trained.values())
        self._averages = [averages.get(id(value), _wide_copy(value)) for value in self._trained]
        # positions of what has no adapter to live in
        self._beside = [i for i, value in enumerate(self._trained) if id(value) not in averages]

    @torch.no_grad()
    def update(self) -> None:
        """One step of the average; call it after each optimizer step that was not skipped. Raises RuntimeError in a
        block of `applied()`."""
        self._check_outside("update")
        pairs = list(zip(self._averages, self._trained, strict=True))
        # the model may have moved since
        self._averages = [
            average if average.device == value.device else average.to(value.device)
            for average, value in pairs
        ]
        values = [value.to(average.dtype) for average, value in pairs]
        torch._foreach_lerp_(self._averages, values, 1.0 - self.decay)

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
        with self._ema_active(), self._swapped_in(), self._same_requires_grad():
            self._applied = True
            try:
                yield
            finally:
                self._applied = False
                for layer in self._layers:
                    if layer.merged:
                        layer.unmerge()

    @torch.no_grad()
    def adopt(self) -> None:
        """Ends the accumulation: the trained parameters take the averages for good, and the adapter "ema" is
        removed. Raises RuntimeError inside `applied()`."""
        self._check_outside("adopt")
        for value, average in zip(self._trained, self._averages, strict=True):
            value.copy_(average)
        for part in (*self._layers, *self._wrappers):
            part.delete_adapter(EMA_ADAPTER)
        for configs in self._tuner_configs():
            configs.pop(EMA_ADAPTER, None)
        self._layers, self._wrappers, self._beside = [], [], list(range(len(self._trained)))

    def state_dict(self) -> dict[str, Tensor]:
        """The averages under the names of what they average, for a checkpoint; not copied."""
        return {name: average.detach() for name, average in zip(self._names, self._averages, strict=True)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a `state_dict` of the same model. Raises ConfigError if names or shapes differ; nothing is
        loaded."""
        missing, unknown = sorted(set(self._names) - set(state)), sorted(set(state) - set(self._names))
        if missing or unknown:
            raise ConfigError(
                f"state must hold the averages of this model. Missing: {missing[:3]}, unknown: {unknown[:3]}. "
                "Make the model and the average as in the run that saved them."
            )
        for name, average in zip(self._names, self._averages, strict=True):
            if state[name].shape != average.shape:
                raise ConfigError(
                    f"{name!r} must have shape {tuple(average.shape)}, got {tuple(state[name].shape)}."
                )
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(state[name])

    def _add_ema_adapter(self) -> dict[int, Tensor]:
        """Adds the adapter "ema" as a copy of the active one; its tensors by the id of what they average."""
        source = self._source()
        if source is None:
            return {}
        layers = [layer for layer in self._layers if source in layer.configs]
        config = copy.deepcopy(layers[0].configs[source])
        for configs in self._tuner_configs():
            configs[EMA_ADAPTER] = config  # from here on PEFT knows the adapter
        averages: dict[int, Tensor] = {}
        with self._same_requires_grad():  # adding an adapter resets it
            for layer in layers:
                layer.update_layer(EMA_ADAPTER, config)
                averages.update(_copied(layer, source))
            for wrapper in self._wrappers:
                if source in wrapper.modules_to_save:
                    wrapper.update(EMA_ADAPTER)
                    trained, mean = (wrapper.modules_to_save[name] for name in (source, EMA_ADAPTER))
                    for value, average in zip(trained.parameters(), mean.parameters(), strict=True):
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

    @contextmanager
    def _same_requires_grad(self) -> Iterator[None]:
        flags = [(value, value.requires_grad) for value in self._module.parameters()]
        try:
            yield
        finally:
            for value, flag in flags:
                value.requires_grad_(flag)

    def _source(self) -> str | None:
        active = {tuple(layer.active_adapters) for layer in self._layers}
        if not active:
            return None
        if len(active) > 1 or len(next(iter(active))) != 1:
            raise ConfigError(f"one adapter must be active for an average, got {sorted(active)}. Set one.")
        if any(EMA_ADAPTER in layer.configs for layer in self._layers):
            raise ConfigError('model has an adapter "ema" already. Remove it by delete_adapter("ema").')
        name: str = next(iter(active))[0]
        return name

    @contextmanager
    def _ema_active(self) -> Iterator[None]:
        # not PEFT's set_adapter: it would make "ema" trainable and freeze what is trained
        with_ema = [layer for layer in self._layers if EMA_ADAPTER in layer.configs]
        wrappers = [part for part in self._wrappers if EMA_ADAPTER in part.modules_to_save]
        tuners = [part for part in self._module.modules() if isinstance(part, BaseTuner | PeftModel)]
        switches: list[tuple[Any, str, Any]] = [
            *((layer, "_active_adapter", [EMA_ADAPTER]) for layer in with_ema),
            *((wrapper, "_active_adapter", EMA_ADAPTER) for wrapper in wrappers),
            *((tuner, "active_adapter", EMA_ADAPTER) for tuner in tuners if with_ema),
        ]
        before = [(part, name, getattr(part, name)) for part, name, _ in switches]
        try:
            for switch in switches:
                setattr(*switch)
            yield
        finally:
            for switch in before:
                setattr(*switch)

    @contextmanager
    def _swapped_in(self) -> Iterator[None]:
        pairs = [(self._trained[i], self._averages[i]) for i in self._beside]
        with torch.no_grad():
            kept = [value.detach().clone() for value, _ in pairs]
            for value, average in pairs:
                value.copy_(average)
        try:
            yield
        finally:
            with torch.no_grad():
                for (value, _), before in zip(pairs, kept, strict=True):
                    value.copy_(before)


def auto_decay(steps: int) -> float:
    """The decay that fits a run: clamp(1 - 25 / steps, 0, 0.999), so that the average spans 4 % of the run. Raises
    ConfigError if there is fewer than 1 optimizer step."""
    if steps < 1:
        raise ConfigError(f"steps must be at least 1. Got {steps}.")
    return min(max(1.0 - 25.0 / steps, 0.0), 0.999)


def _copied(layer: RAdapterLayer, source: str) -> dict[int, Tensor]:
    averages: dict[int, Tensor] = {}
    for attribute in layer.adapter_layer_names:
        store = getattr(layer, attribute)
        if source in store:
            store[EMA_ADAPTER] = nn.Parameter(_wide_copy(store[source]), requires_grad=False)
            averages[id(store[source])] = store[EMA_ADAPTER]
    return averages


def _wide_copy(value: Tensor) -> Tensor:
    """In half precision a decay of 0.999 would round away every step."""
    return value.detach().to(torch.promote_types(value.dtype, torch.float32), copy=True)
