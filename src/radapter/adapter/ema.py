"""Accumulation: an exponential moving average of what is trained, used for evaluation and merging.

Source: Kim et al., ECCV 2024. m is `decay`; after every optimizer step

    average <- m average + (1 - m) trained

The average of an adapter is a second adapter, named "ema", so PEFT provides switching, saving and merging. Other
trained parameters (a head, a whole tower in full fine-tuning) have their average in tensors kept here. Buffers are
not averaged.
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

from radapter.adapter.alpha import adapter_layers
from radapter.adapter.layer import RAdapterLayer
from radapter.errors import ConfigError, MergeError

EMA_ADAPTER = "ema"


class Ema:
    """The moving average of everything in `model` that is trained when this is made; it starts as a copy.

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
        self._module: nn.Module = model if isinstance(model, nn.Module) else model.module
        self._layers = adapter_layers(model)
        self._wrappers = [part for part in self._module.modules() if isinstance(part, ModulesToSaveWrapper)]
        self._applied = False
        trained = {name: value for name, value in self._module.named_parameters() if value.requires_grad}
        if not trained:
            raise ConfigError(
                "model must have trainable parameters. Got none. Make the average before freezing it."
            )
        averages = self._add_ema_adapter()
        self._names = list(trained)
        self._trained: list[Tensor] = list(trained.values())
        self._averages = [averages.get(id(value), _wide_copy(value)) for value in self._trained]
        # positions of what has no adapter to live in
        self._beside = [i for i, value in enumerate(self._trained) if id(value) not in averages]

    @torch.no_grad()
    def update(self) -> None:
        """One step of the average; call it after each optimizer step that was not skipped.

        Raises:
            RuntimeError: Inside `applied()`, where the average replaces what is trained.
        """
        if self._applied:
            raise RuntimeError("update() must be called outside applied(). Leave the block first.")
        for i, (average, value) in enumerate(zip(self._averages, self._trained, strict=True)):
            if average.device != value.device:
                self._averages[i] = average.to(value.device)  # the model has moved since
        values = [
            value.to(average.dtype) for value, average in zip(self._trained, self._averages, strict=True)
        ]
        torch._foreach_lerp_(self._averages, values, 1.0 - self.decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A block in which the model runs with its averages; afterwards the trained values are restored bitwise.

        The active adapter and requires_grad are restored too, and merges inside the block are undone. Inside another
        `applied()` of the same object it does nothing.

        Raises:
            MergeError: Adapters are merged already.
        """
        if self._applied:
            yield
            return
        merged = sorted({name for layer in self._layers for name in layer.merged_adapters})
        if merged:
            raise MergeError(
                f"adapters must not be merged for applied(). Merged are {merged}. Call unmerge_adapter()."
            )
        requires_grad = [(value, value.requires_grad) for value in self._module.parameters()]
        with self._ema_active(), self._swapped_in():
            self._applied = True
            try:
                yield
            finally:
                self._applied = False
                for layer in self._layers:
                    if layer.merged:
                        layer.unmerge()
                for value, flag in requires_grad:
                    value.requires_grad_(flag)

    @torch.no_grad()
    def adopt(self) -> None:
        """Ends the accumulation: the trained parameters take the averages for good, and the adapter "ema" is
        removed.

        Raises:
            RuntimeError: Inside `applied()`.
        """
        if self._applied:
            raise RuntimeError("adopt() must be called outside applied(). Leave the block first.")
        for value, average in zip(self._trained, self._averages, strict=True):
            value.copy_(average)
        for part in (*self._layers, *self._wrappers):
            part.delete_adapter(EMA_ADAPTER)
        for part in self._module.modules():
            configs = vars(part).get("peft_config")
            if isinstance(configs, dict):
                configs.pop(EMA_ADAPTER, None)
        self._layers, self._wrappers, self._beside = [], [], list(range(len(self._trained)))

    def state_dict(self) -> dict[str, Tensor]:
        """The averages under the names of what they average, for a checkpoint; not copied."""
        return {name: average.detach() for name, average in zip(self._names, self._averages, strict=True)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a `state_dict` of the same model.

        Raises:
            ConfigError: Names or shapes differ; nothing was loaded.
        """
        missing, unknown = sorted(set(self._names) - set(state)), sorted(set(state) - set(self._names))
        if missing or unknown:
            raise ConfigError(
                f"state must hold the averages of this model. Missing: {missing[:3]}, unknown: {unknown[:3]}. "
                "Make the model and the average as in the run that saved them."
            )
        for name, average in zip(self._names, self._averages, strict=True):
            if state[name].shape != average.shape:
                raise ConfigError(
                    f"state[{name!r}] must have shape {tuple(average.shape)}. Got {tuple(state[name].shape)}."
                )
        for name, average in zip(self._names, self._averages, strict=True):
            average.copy_(state[name])

    def _add_ema_adapter(self) -> dict[int, Tensor]:
        """Adds the adapter "ema" as a copy of the active one; its tensors by the id of what they average."""
        source = self._source()
        if source is None:
            return {}
        flags = [(value, value.requires_grad) for value in self._module.parameters()]
        config = copy.deepcopy(
            next(layer.configs[source] for layer in self._layers if source in layer.configs)
        )
        for part in self._module.modules():
            configs = vars(part).get("peft_config")
            if isinstance(configs, dict):
                configs[EMA_ADAPTER] = config  # the tuner's dictionary: PEFT knows the adapter from here on
        averages: dict[int, Tensor] = {}
        for layer in self._layers:
            if source in layer.configs:
                layer.update_layer(EMA_ADAPTER, config)
                averages.update(_copied(layer, source))
        for wrapper in self._wrappers:
            if source in wrapper.modules_to_save:
                wrapper.update(EMA_ADAPTER)
                mean = wrapper.modules_to_save[EMA_ADAPTER]
                for value, average in zip(
                    wrapper.modules_to_save[source].parameters(), mean.parameters(), strict=True
                ):
                    average.data = _wide_copy(value)
                    average.requires_grad_(False)
                    averages[id(value)] = average
        for value, flag in flags:
            value.requires_grad_(flag)  # adding an adapter resets them
        return averages

    def _source(self) -> str | None:
        active = {tuple(layer.active_adapters) for layer in self._layers}
        if not active:
            return None
        if len(active) > 1 or len(next(iter(active))) != 1:
            raise ConfigError(
                f"one adapter must be active for an average. Active are {sorted(active)}. Set one."
            )
        if any(EMA_ADAPTER in layer.configs for layer in self._layers):
            raise ConfigError(
                'the model must not have an adapter "ema" yet. Remove it by delete_adapter("ema").'
            )
        name: str = next(iter(active))[0]
        return name

    @contextmanager
    def _ema_active(self) -> Iterator[None]:
        # not PEFT's set_adapter: it would make "ema" trainable and freeze what is trained
        with_ema = [layer for layer in self._layers if EMA_ADAPTER in layer.configs]
        wrappers = [part for part in self._wrappers if EMA_ADAPTER in part.modules_to_save]
        tuners = (
            [part for part in self._module.modules() if isinstance(part, BaseTuner | PeftModel)]
            if with_ema
            else []
        )
        inner = [(part, ("_active_adapter", part._active_adapter)) for part in (*with_ema, *wrappers)]
        outer = [(part, ("active_adapter", part.active_adapter)) for part in tuners]
        try:
            for layer in with_ema:
                layer._active_adapter = [EMA_ADAPTER]  # type: ignore[assignment]
            for wrapper in wrappers:
                wrapper._active_adapter = EMA_ADAPTER
            for tuner in tuners:
                tuner.active_adapter = EMA_ADAPTER
            yield
        finally:
            for part, before in (*inner, *outer):
                setattr(part, *before)

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
