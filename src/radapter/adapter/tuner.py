"""R-Adapter as a PEFT method: the tuner, and its registration.

PEFT accepts only names in its `PeftType` enumeration, so importing this file extends the enumeration and PEFT's
tables. After it, `peft.get_peft_model` and `PeftModel.from_pretrained` know R-Adapters.
"""

import copy
import enum
from typing import Any, Self

import peft
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import PeftType
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from radapter.adapter.config import RAdapterConfig
from radapter.adapter.layer import RAdapterLayer
from radapter.adapter.selection import named_sites, select_sites
from radapter.adapter.sites import Site
from radapter.errors import ConfigError, did_you_mean

_NAME = "radapter"


def _moved(reason: object) -> ImportError:
    return ImportError(
        f"radapter cannot register with peft {peft.__version__}, whose internals have moved: {reason}. "
        "Install a tested version: pip install -c constraints.txt peft"
    )


try:
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.tuners.tuners_utils import _ExcludedModule
    from peft.utils import register_peft_method
except ImportError as error:  # pragma: no cover - a PEFT of the future
    raise _moved(error) from error


class RAdapterModel(BaseTuner):  # type: ignore[misc]
    """Puts adapters into a module; `peft.get_peft_model(module, RAdapterConfig())` makes one.

    All of PEFT's methods work. Two differ: merging with `safe_merge=True` checks every layer before it changes any,
    and sites are found by type if `target_modules` is None.
    """

    prefix = f"{_NAME}_"
    tuner_layer_cls = RAdapterLayer
    target_module_mapping: dict[str, list[str]] = {}  # noqa: RUF012 - PEFT's declaration

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's entry for every new adapter; checks the sites before anything changes. Raises SiteError if
        configuration and model do not fit, and ConfigError if r exceeds the narrowest width."""
        config = self.peft_config[adapter_name]
        # A new adapter gets a copy: alpha belongs to it, and the user may use the configuration again. A loaded one
        # keeps the object that `from_pretrained` was given, as in PEFT.
        if not config.inference_mode:
            config = copy.deepcopy(config)
        state_dict = kwargs.get("state_dict")
        if state_dict is None:
            sites = select_sites(model, config)
        else:
            names = {key.rsplit(f".{self.prefix}", 1)[0].removeprefix("_orig_mod.") for key in state_dict}
            present = [name for name, _ in model.named_modules() if name in names]
            sites = named_sites(model, present, config.towers)
        self._sites: dict[str, Site] = {site.name: site for site in sites}
        self.peft_config[adapter_name] = config
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        hold_statistics(model)  # a fresh model of open_clip or timm is in training mode

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all modules, but layers with running statistics (BatchNorm) stay in evaluation mode."""
        super().train(mode)
        hold_statistics(self.model)
        return self

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Merges adapters, by default the active ones, in order; `unmerge_adapter` restores the weights bitwise.

        Raises:
            MergeError: `safe_merge`, and a merged weight would not be finite; nothing was merged.
            ConfigError: An adapter of that name does not exist.
        """
        for name in adapter_names or ():
            if name not in self.peft_config:
                ours = list(self.peft_config)
                raise ConfigError(f"adapter_names must be in {ours}. Got {name!r}.{did_you_mean(name, ours)}")
        if safe_merge:
            for layer in self.model.modules():
                if isinstance(layer, RAdapterLayer):
                    layer.check_mergeable(adapter_names)
        super().merge_adapter(adapter_names=adapter_names)

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> None:
        """Raises ConfigError: R-Adapters are not summed."""
        raise ConfigError(
            "add_weighted_adapter is not available for R-Adapters. To apply several one after the other, give their "
            "names as a list to base_model.set_adapter. To weight an adapter, use radapter.set_alpha."
        )

    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: Any = None,
    ) -> nn.Module:
        if merge:
            # every layer is merged before the first is unloaded, so that an error leaves the model as it was
            self.merge_adapter(adapter_names, safe_merge)
        module: nn.Module = super()._unload_and_optionally_merge(
            merge=merge, progressbar=progressbar, adapter_names=adapter_names
        )
        return module

    def _prepare_adapter_config(self, peft_config: RAdapterConfig, model_config: Any) -> RAdapterConfig:
        return peft_config  # target_modules stays None: the sites are found again when the adapter is loaded

    def _check_target_module_exists(self, config: RAdapterConfig, key: str) -> Any:
        if key in self._sites:
            return True
        # PEFT warns when exclude_modules excluded nothing; `select_sites` has made sure that it did
        return _ExcludedModule() if config.exclude_modules else False

    def _create_and_replace(
        self,
        peft_config: RAdapterConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **unused: Any,
    ) -> None:
        if isinstance(target, RAdapterLayer):
            target.update_layer(adapter_name, peft_config)
            return
        layer = RAdapterLayer(target, self._sites[current_key])
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


def _register() -> None:
    member = _NAME.upper()
    if member not in PeftType.__members__:
        _extend(PeftType, member)
    if PeftType(member) not in PEFT_TYPE_TO_TUNER_MAPPING:
        register_peft_method(name=_NAME, config_cls=RAdapterConfig, model_cls=RAdapterModel)


def _extend(enumeration: type[enum.Enum], name: str) -> None:
    try:
        member = str.__new__(enumeration, name)  # type: ignore[type-var]
        member._name_ = name
        member._value_ = name
        member._sort_order_ = len(enumeration.__members__)  # type: ignore[attr-defined]
        type.__setattr__(enumeration, name, member)
        enumeration._member_names_.append(name)
        enumeration._member_map_[name] = member
        enumeration._value2member_map_[name] = member
        places = (enumeration(name), enumeration[name], getattr(enumeration, name))
        known = member in list(enumeration) and all(place is member for place in places)
    except Exception as error:
        raise _moved(error) from error
    if not known:
        raise _moved("its PeftType does not keep the new member")


_register()
