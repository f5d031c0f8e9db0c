"""AdaptFormer: a bottleneck with ReLU in parallel to the FFN of every block.

Source: Chen et al., "AdaptFormer: adapting vision transformers for scalable visual recognition", NeurIPS 2022. x is
the input of the FFN's norm, (B, L, D):

    out = x + FFN(LN(x)) + alpha s (ReLU(x Wd + bd) Wu + bu)        Wd (D, r), Wu (r, D), s = 0.1

Here as in the released code (ShoufaChen/AdaptFormer): no norm in the branch, r = 64, dropout 0.1 after the ReLU, and
Wu and both biases start at 0. The source adapts image towers; here both towers have adapters, under R-Adapter's
loss, so that the rows differ only in the adapter.

alpha scales the branch in evaluation: 0 is the zero-shot model. The ReLU makes the branch non-linear, so it cannot
be merged, and the way from 0 to 1 is none between two sets of weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from peft import get_peft_model
from peft.utils import PeftType
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.adapter import RescalableLayer, SiteTuner
from radapter.adapter.config import TOWERS
from radapter.adapter.registration import register_tuner
from radapter.adapter.site_tuner import SiteConfig
from radapter.adapter.sites import pre_norm_blocks
from radapter.errors import MergeError, SiteError
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

UNMERGEABLE = "its ReLU has no counterpart in the model's weights"


class AdaptFormerSettings(MethodSettings):
    """What users set of AdaptFormer."""

    r: int = Field(default=64, ge=1, description="width of the bottleneck")
    scale: float = Field(default=0.1, gt=0, description="factor s of the branch")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="probability of dropout after the ReLU")


@dataclass
class AdaptFormerConfig(SiteConfig):
    """What PEFT saves of it; alpha is the factor in evaluation."""

    r: int = 64
    scale: float = 0.1
    dropout: float = 0.1
    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType("ADAPTFORMER")


class AdaptFormerLayer(RescalableLayer):
    """An FFN with the branch beside it. A hook at the norm in front keeps that norm's input for the branch."""

    adapter_layer_names = ("adaptformer_down", "adaptformer_up")
    other_param_names = ("configs",)

    def __init__(self, base_layer: nn.Module, norm: nn.Module, width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.width = width
        self.configs: dict[str, AdaptFormerConfig] = {}
        self.adaptformer_down = nn.ModuleDict()
        self.adaptformer_up = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        self._input: Tensor | None = None
        self._hook = norm.register_forward_pre_hook(self._keep)
        self.training = base_layer.training

    def update_layer(self, adapter_name: str, config: AdaptFormerConfig) -> None:
        """Adds an adapter, which starts as the base model."""
        self.configs[adapter_name] = config
        up = nn.Linear(config.r, self.width)
        down = nn.Linear(
            self.width, config.r
        )  # its weight starts Kaiming-uniform with a = sqrt(5), as the source's
        for part in (down.bias, up.weight, up.bias):
            nn.init.zeros_(part)
        reference = next(self.base_layer.parameters())
        self.adaptformer_down[adapter_name] = down.to(reference.device, reference.dtype)
        self.adaptformer_up[adapter_name] = up.to(reference.device, reference.dtype)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The FFN's output plus the branches of the active adapters."""
        output: Tensor = self.base_layer(*args, **kwargs)
        x, self._input = self._input, None
        for name in () if self.disable_adapters else self.active_adapters:
            scale = self._factor(name)
            if scale == 0:
                continue
            assert x is not None, "the norm in front of the FFN was not called"
            hidden = F.relu(self.adaptformer_down[name](x))
            hidden = F.dropout(hidden, self.configs[name].dropout, self.training)
            output = output + scale * self.adaptformer_up[name](hidden)
        return output

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Raises MergeError: the branch is not linear."""
        raise MergeError(f"AdaptFormer cannot be merged: {UNMERGEABLE}. Use the model with its adapters.")

    def unload_and_optionally_merge_module(self, merge: bool, **unused: Any) -> nn.Module:
        """PEFT's hook for unloading: the FFN. Raises MergeError if it is to be merged."""
        if merge:
            self.merge()
        self._hook.remove()
        base: nn.Module = self.base_layer
        return base

    def _factor(self, name: str) -> float:
        config = self.configs[name]
        return config.scale * (1.0 if self.training else config.alpha)

    def _keep(self, norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        (self._input,) = inputs


class AdaptFormerModel(SiteTuner):
    """Puts a branch beside every FFN of the configuration's towers."""

    prefix = "adaptformer_"
    tuner_layer_cls = AdaptFormerLayer
    merges = False

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's entry for every new adapter. Raises SiteError if a block's FFN is not in front of a plain sum."""
        blocks = pre_norm_blocks(model, self.peft_config[adapter_name].towers)
        for block in blocks:
            if block.ffn_scale:
                raise SiteError(
                    f"AdaptFormer adds its branch to the FFN's output. '{block.ffn_scale}' scales that output, and "
                    "would scale the branch. Choose another method."
                )
        self._blocks: Mapping[str, Any] = {block.ffn: block for block in blocks}
        super().inject_adapter(model, adapter_name, *args, **kwargs)

    def _check_target_module_exists(self, config: AdaptFormerConfig, key: str) -> bool:
        return key in self._blocks

    def _layer_at(self, key: str, target: nn.Module) -> AdaptFormerLayer:
        block = self._blocks[key]
        return AdaptFormerLayer(target, self.model.get_submodule(block.ffn_norm), block.width)


register_tuner("adaptformer", config=AdaptFormerConfig, tuner=AdaptFormerModel)


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    towers: tuple[str, ...] = TOWERS,
) -> Built:
    """Trains one branch beside each FFN of these towers. `head` is ignored."""
    assert isinstance(settings, AdaptFormerSettings)
    encoder.requires_grad_(False)
    config = AdaptFormerConfig(r=settings.r, scale=settings.scale, dropout=settings.dropout, towers=towers)
    return Built(ContrastiveLearner(encoder, loss), get_peft_model(encoder.module, config))


METHOD = Method(
    name="adaptformer",
    summary="a bottleneck beside each FFN, MPM-NCE",
    source="Chen et al. 2022",
    losses=("mpm-nce", "clip", "siglip"),
    learning_rate=5e-4,
    rate_source="R-Adapter's release: AdaptFormer has none for CLIP",
    build=build,
    settings_type=AdaptFormerSettings,
    unmergeable=UNMERGEABLE,
)
_IMAGE = ("image",)
IMAGE_TOWER = replace(METHOD, towers=_IMAGE, build=partial(build, towers=_IMAGE))
