"""What radapter's PEFT tuners share: modules are found by type, and statistics do not change in training."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from radapter.adapter.config import TOWERS, check_towers
from radapter.errors import ConfigError


@dataclass
class SiteConfig(PeftConfig):  # type: ignore[misc]
    """A configuration of such a tuner. `towers` are those with adapters; `target_modules` is what PEFT requires."""

    target_modules: list[str] | None = None
    towers: tuple[str, ...] = TOWERS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.towers = check_towers(self.towers)
        if self.target_modules is not None:
            raise ConfigError(f"target_modules must be None: they are found. Got {self.target_modules!r}.")


class SiteTuner(BaseTuner):  # type: ignore[misc]
    """A tuner whose targets are found in the model, whatever `target_modules` is.

    merges: whether its adapters can become the model's own weights.
    """

    target_module_mapping: ClassVar[dict[str, list[str]]] = {}
    merges = True

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's entry for every new adapter."""
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        hold_statistics(model)  # a fresh model of open_clip or timm is in training mode

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all modules, but layers with running statistics (BatchNorm) stay in evaluation mode."""
        super().train(mode)
        hold_statistics(self.model)
        return self

    def _prepare_adapter_config(self, peft_config: PeftConfig, model_config: Any) -> PeftConfig:
        return peft_config  # target_modules stays None: the sites are found again when the adapter is loaded

    @abstractmethod
    def _layer_at(self, key: str, target: nn.Module) -> Any:
        """A layer of `tuner_layer_cls` around the target of that name."""

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **unused: Any,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, peft_config)
            return
        layer = self._layer_at(current_key, target)
        layer.set_adapter(self.active_adapters)
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: Any) -> None:
        # PEFT's own copies `child.weight`, which nn.MultiheadAttention lacks; layers place their own parameters
        setattr(parent, child_name, new_module)


def hold_statistics(module: nn.Module) -> None:
    """Puts every layer with running statistics inside `module` into evaluation mode; other layers keep their mode.

    BatchNorm in training mode updates statistics that neither an adapter nor a file of trained weights holds, so the
    saved model would differ from the trained one, and alpha 0 from the base model. Modules that PEFT saves whole
    (`modules_to_save`) are skipped.
    """
    if isinstance(module, AuxiliaryTrainingWrapper):
        module = module.original_module
    if _has_statistics(module):
        module.training = False
    for child in module.children():
        hold_statistics(child)


def _has_statistics(module: nn.Module) -> bool:
    """BatchNorm and InstanceNorm, and layers of other libraries with buffers of the same names (EvoNorm, ABN)."""
    if isinstance(module, _NormBase):
        return module.track_running_stats
    buffers = dict(module.named_buffers(recurse=False))
    return any(name in buffers for name in ("running_mean", "running_var"))
