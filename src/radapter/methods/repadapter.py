"""RepAdapter: a grouped linear bottleneck in front of the attention and the FFN of every block, merged exactly.

Source: Luo et al., "Towards efficient visual adaption via structural re-parameterization", 2023. y is the output
of a block's norm, as rows (B, L, D):

    adapted   y' = y + s ((y A^T + a) B^T + b)        A (r, D), B (D, r) with G groups
    merged    V' = V (I + s B A),  c' = c + s V (B a + b)        into each Linear (V, c) that reads y'

Here as in the released code (luogen1996/RepAdapter, `repblock`): r = 8, G = 2, so the first half of the outputs
sees hidden units 1 to 4 and the second half 5 to 8, dropout 0.1 between A and B, A Xavier-uniform, everything else
0 at the start. s is fixed; the source chose it for each data set from {0.1, 0.5, 1, 5, 10} on the test set, and its
few-shot configurations have 1, the default here. Its image models have adapters in one tower; here both towers
have, under R-Adapter's loss, so that the rows differ only in the adapter.

alpha s in place of s is the point alpha between the original and the merged weights.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from peft import get_peft_model
from peft.tuners.tuners_utils import check_adapters_to_merge
from peft.utils import PeftType
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.adapter import SiteTuner, WrappingLayer
from radapter.adapter.config import TOWERS
from radapter.adapter.registration import register_tuner
from radapter.adapter.site_tuner import SiteConfig
from radapter.adapter.sites import pre_norm_blocks
from radapter.errors import ConfigError, MergeError, SiteError
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


class RepAdapterSettings(MethodSettings):
    """What users set of RepAdapter."""

    r: int = Field(default=8, ge=1, description="width of the bottleneck, a multiple of the groups")
    groups: int = Field(
        default=2, ge=1, description="groups of the second matrix; they divide every tower's width"
    )
    scale: float = Field(default=1.0, gt=0, description="factor s of the bottleneck's output")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="probability of dropout inside the bottleneck"
    )


@dataclass
class RepAdapterConfig(SiteConfig):
    """What PEFT saves of it."""

    r: int = 8
    groups: int = 2
    scale: float = 1.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = PeftType("REPADAPTER")


class RepAdapterLayer(WrappingLayer):
    """A norm with the bottleneck behind it; `readers` are the modules that read its output and take the merge."""

    adapter_layer_names = ("repadapter_A", "repadapter_B", "repadapter_a", "repadapter_b")
    other_param_names = ("configs",)

    def __init__(self, base_layer: nn.Module, readers: list[nn.Module], width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.readers = readers  # a list is not registered: the modules belong to the block
        self.width = width
        self.configs: dict[str, RepAdapterConfig] = {}
        self.repadapter_A = nn.ParameterDict()  # (r, D)
        self.repadapter_B = nn.ParameterDict()  # (D, r / G)
        self.repadapter_a = nn.ParameterDict()  # (r,)
        self.repadapter_b = nn.ParameterDict()  # (D,)
        self.merged_adapters: list[str] = []
        self._originals: list[tuple[nn.Parameter, Tensor]] = []
        self.training = base_layer.training

    def update_layer(self, adapter_name: str, config: RepAdapterConfig) -> None:
        """Adds an adapter, which starts as the base model."""
        self.configs[adapter_name] = config
        start = {
            "A": nn.init.xavier_uniform_(torch.empty(config.r, self.width)),
            "B": torch.zeros(self.width, config.r // config.groups),
            "a": torch.zeros(config.r),
            "b": torch.zeros(self.width),
        }
        like, _ = affine_of(self.readers[0])
        for part, value in start.items():
            self._store(part)[adapter_name] = nn.Parameter(value.to(like.device, like.dtype))
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The norm's output, adapted by the active adapters in order."""
        output: Tensor = self.base_layer(*args, **kwargs)
        if self.disable_adapters or self.merged:
            return output
        for name in self._own(self.active_adapters):
            config = self.configs[name]
            hidden = F.linear(output, self.repadapter_A[name], self.repadapter_a[name])
            hidden = F.dropout(hidden, config.dropout, self.training)
            grouped = hidden.view(*hidden.shape[:-1], config.groups, -1)
            up = self.repadapter_B[name].view(config.groups, self.width // config.groups, -1)
            update = torch.einsum("...gr,gdr->...gd", grouped, up).flatten(-2) + self.repadapter_b[name]
            output = output + config.scale * update
        return output

    def affine(self, name: str) -> tuple[Tensor, Tensor]:
        """(I + s B A, s (B a + b)), (D, D) and (D,), in float32 or wider, without gradient."""
        config = self.configs[name]
        with torch.no_grad():
            down, up, shift, bias = (self._store(part)[name] for part in ("A", "B", "a", "b"))
            wide = torch.promote_types(down.dtype, torch.float32)
            grouped = up.to(wide).view(config.groups, self.width // config.groups, -1)

            def up_from(hidden: Tensor) -> Tensor:  # B times (r, N), group by group
                parts: Tensor = grouped @ hidden.to(wide).view(config.groups, grouped.shape[-1], -1)
                return parts.flatten(0, 1)

            matrix = torch.eye(self.width, device=up.device, dtype=wide) + config.scale * up_from(down)
            return matrix, config.scale * (up_from(shift).squeeze(1) + bias.to(wide))

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Merges adapters, by default the active ones, into the readers. Raises MergeError if `safe_merge` and a
        merged value would not be finite; nothing is changed."""
        names = self._own(check_adapters_to_merge(self, adapter_names))
        if not names:
            return
        merged = [
            (parameter, value) for reader in self.readers for parameter, value in self._merged(reader, names)
        ]
        if safe_merge and not all(bool(value.isfinite().all()) for _, value in merged):
            raise MergeError(
                f"adapter {', '.join(map(repr, names))} gives non-finite weights. Nothing was merged. Check the run "
                "for skipped steps."
            )
        if not self._originals:
            self._originals = [(parameter, parameter.data) for parameter, _ in merged]
        for parameter, value in merged:
            parameter.data = value
        self.merged_adapters.extend(names)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restores the readers bitwise."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        for parameter, original in self._originals:
            parameter.data = original.to(parameter.device, parameter.dtype)
        self._originals, self.merged_adapters = [], []

    def _store(self, part: str) -> nn.ParameterDict:
        store: nn.ParameterDict = getattr(self, f"repadapter_{part}")
        return store

    def _own(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self.configs]

    def _merged(self, reader: nn.Module, names: list[str]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        weight, bias = affine_of(reader)
        assert bias is not None
        wide = torch.promote_types(weight.dtype, torch.float32)
        matrix, shift = weight.data.to(wide), bias.data.to(wide)
        for name in reversed(names):  # the last one is the nearest to the reader
            linear, constant = (tensor.to(weight.device, wide) for tensor in self.affine(name))
            matrix, shift = matrix @ linear, shift + matrix @ constant
        yield weight, matrix.to(weight.dtype)
        yield bias, shift.to(bias.dtype)


def affine_of(reader: nn.Module) -> tuple[nn.Parameter, nn.Parameter | None]:
    """The weight and bias by which a Linear, or an attention with one matrix for q, k and v, reads its input."""
    names = ("weight", "bias") if isinstance(reader, nn.Linear) else ("in_proj_weight", "in_proj_bias")
    weight, bias = (getattr(reader, name) for name in names)
    return weight, bias


class RepAdapterModel(SiteTuner):
    """Puts a bottleneck behind both norms of every block of the configuration's towers."""

    prefix = "repadapter_"
    tuner_layer_cls = RepAdapterLayer

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """PEFT's entry for every new adapter. Raises SiteError if a Linear cannot take the merge, and ConfigError if
        the groups do not divide a width."""
        config = self.peft_config[adapter_name]
        blocks = pre_norm_blocks(model, config.towers)
        readers: dict[str, tuple[str, ...]] = {}
        for block in blocks:
            if block.width % config.groups or config.r % config.groups:
                raise ConfigError(
                    f"groups must divide r and the width of the {block.tower} tower, {block.width}. Got groups "
                    f"{config.groups} and r {config.r}. Use groups=1."
                )
            readers[block.attention_norm] = block.attention_readers
            readers[block.ffn_norm] = block.ffn_readers
        for name in (name for names in readers.values() for name in names):
            if affine_of(model.get_submodule(name))[1] is None:
                raise SiteError(
                    f"RepAdapter merges a bias into every Linear that reads a norm. '{name}' has none. Choose "
                    "another method."
                )
        self._readers: Mapping[str, tuple[str, ...]] = readers
        self._width = {norm: b.width for b in blocks for norm in (b.attention_norm, b.ffn_norm)}
        super().inject_adapter(model, adapter_name, *args, **kwargs)

    def _check_target_module_exists(self, config: RepAdapterConfig, key: str) -> bool:
        return key in self._readers

    def _layer_at(self, key: str, target: nn.Module) -> RepAdapterLayer:
        readers = [self.model.get_submodule(name) for name in self._readers[key]]
        return RepAdapterLayer(target, readers, self._width[key])


register_tuner("repadapter", config=RepAdapterConfig, tuner=RepAdapterModel)


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    towers: tuple[str, ...] = TOWERS,
) -> Built:
    """Trains one bottleneck behind each norm of these towers' blocks. `head` is ignored."""
    assert isinstance(settings, RepAdapterSettings)
    encoder.requires_grad_(False)
    config = RepAdapterConfig(**settings.model_dump(), towers=towers)
    return Built(ContrastiveLearner(encoder, loss), get_peft_model(encoder.module, config))


METHOD = Method(
    name="repadapter",
    summary="linear bottlenecks before attention and FFN, MPM-NCE",
    source="Luo et al. 2023",
    losses=("mpm-nce", "clip", "siglip"),
    learning_rate=1e-3,
    rate_source="RepAdapter's release, for a ViT-B of ImageNet-21k",
    build=build,
    settings_type=RepAdapterSettings,
)
_IMAGE = ("image",)
IMAGE_TOWER = replace(METHOD, towers=_IMAGE, build=partial(build, towers=_IMAGE))
