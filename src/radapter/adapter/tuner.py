"""R-Adapter as a PEFT method: the tuner.

After importing this file, `peft.get_peft_model` and `PeftModel.from_pretrained` know R-Adapters.
"""

import copy
from typing import Any

from torch import nn

from radapter.adapter.config import RAdapterConfig
from radapter.adapter.layer import RAdapterLayer
from radapter.adapter.registration import ExcludedModule, register_tuner
from radapter.adapter.selection import named_sites, select_sites
from radapter.adapter.site_tuner import SiteTuner
from radapter.adapter.sites import Site
from radapter.errors import ConfigError, did_you_mean

_NAME = "radapter"


class RAdapterModel(SiteTuner):
    """Puts adapters into a module; `peft.get_peft_model(module, RAdapterConfig())` makes one.

    All of PEFT's methods work. Two differ: merging with `safe_merge=True` checks every layer before it changes any,
    and sites are found by type if `target_modules` is None.
    """

    prefix = f"{_NAME}_"
    tuner_layer_cls = RAdapterLayer

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
            sites = named_sites(model, present, config.towers, config.sites)
        self._sites: dict[str, Site] = {site.name: site for site in sites}
        self.peft_config[adapter_name] = config
        super().inject_adapter(model, adapter_name, *args, **kwargs)

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

    def _check_target_module_exists(self, config: RAdapterConfig, key: str) -> Any:
        if key in self._sites:
            return True
        # PEFT warns when exclude_modules excluded nothing; `select_sites` has made sure that it did
        return ExcludedModule() if config.exclude_modules else False

    def _layer_at(self, key: str, target: nn.Module) -> RAdapterLayer:
        return RAdapterLayer(target, self._sites[key])


register_tuner(_NAME, config=RAdapterConfig, tuner=RAdapterModel)
