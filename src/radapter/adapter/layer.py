"""The linear adapter of one site: its forward, and its merge into the Linear before it.

Source: Kim et al., ECCV 2024. In row convention, with y = u W^T + b the branch output of the site (W as torch
stores it, (D, D_in)), A (D, D) the adapter matrix and s its learned scalar:

    adapted   z  = y + alpha s y A            training: alpha = 1, and per sample gamma / (1 - p) for dropping
    affine    M  = I + alpha s A
    merged    W' = M^T W,  b' = M^T b

A is one matrix, or B C of rank r. Several active adapters apply one after the other, in the order of the list, and
merge in that order. All the arithmetic of the method is in this file, and everything else asks `affine()`.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.adapter.coins import CoinSource, TorchCoins
from radapter.adapter.config import RAdapterConfig
from radapter.adapter.sites import Site
from radapter.errors import ConfigError, MergeError


class RAdapterLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A site's module with its adapters: `nn.Linear`, or `nn.MultiheadAttention`, whose output projection is
    adapted.

    `nn.MultiheadAttention` is wrapped whole, because it reads `out_proj.weight` and never calls `out_proj`.
    Attributes that the layer lacks are those of the wrapped module. Merging keeps the original tensors, so that
    unmerging restores them bitwise; until then a merged site takes its Linear's memory twice.
    """

    adapter_layer_names = ("radapter_A", "radapter_B", "radapter_C", "radapter_s")
    other_param_names = ("configs",)

    def __init__(self, base_layer: nn.Module, site: Site) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.site = site
        self.coin_source: CoinSource = TorchCoins()
        self.configs: dict[str, RAdapterConfig] = {}  # the tuner's own objects: alpha has one home
        self.radapter_A = nn.ParameterDict()  # full rank, (D, D)
        self.radapter_B = nn.ParameterDict()  # low rank, down, (D, r)
        self.radapter_C = nn.ParameterDict()  # low rank, up, (r, D)
        self.radapter_s = nn.ParameterDict()  # (1,): FSDP takes no scalars
        self.merged_adapters: list[str] = []
        self._originals: dict[str, Tensor] = {}
        # as PEFT's layers have them; nn.MultiheadAttention does not
        linear = self._linear
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.training = base_layer.training  # a model in evaluation mode stays in it

    def update_layer(self, adapter_name: str, config: RAdapterConfig) -> None:
        """Adds an adapter. The config is kept, not copied: a change of its alpha acts at once."""
        self.configs[adapter_name] = config
        width, rank = self.site.width, config.r
        if rank is None:
            matrix = torch.zeros(width, width)
            if not config.init_weights:
                nn.init.normal_(matrix, std=1 / math.sqrt(width))
            self.radapter_A[adapter_name] = nn.Parameter(matrix)
        else:
            down, up = torch.empty(width, rank), torch.zeros(rank, width)
            nn.init.xavier_uniform_(down)
            if not config.init_weights:
                # so that the entries of B C have variance 1 / D, as those of a full random matrix
                nn.init.normal_(down, std=1 / math.sqrt(width))
                nn.init.normal_(up, std=1 / math.sqrt(rank))
            self.radapter_B[adapter_name] = nn.Parameter(down)
            self.radapter_C[adapter_name] = nn.Parameter(up)
        # float32 would round the scalar of a float64 model
        dtype = torch.promote_types(self._linear.weight.dtype, torch.float32)
        self.radapter_s[adapter_name] = nn.Parameter(torch.full((1,), config.init_scale, dtype=dtype))
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped module's output, or its first element, with the active adapters applied, in the same shape."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        output = self.base_layer(*args, **kwargs)
        if self.disable_adapters or self.merged:
            return output
        if isinstance(output, tuple):
            return (self._adapted(output[0]), *output[1:])
        return self._adapted(output)

    def affine(self, adapter_name: str | None = None) -> Tensor:
        """M = I + alpha s A of an adapter, or of the active ones in order: (D, D), float32 or wider, no gradient."""
        names = self._own(self.active_adapters) if adapter_name is None else [adapter_name]
        weight = self._linear.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        total = torch.eye(self.site.width, device=weight.device, dtype=dtype)
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            for name in names:
                alpha = self.configs[name].alpha
                if alpha == 0.0:  # the base model, even if an adapter is not finite: 0 * inf is not a number
                    continue
                factors = [factor.to(weight.device, dtype) for factor in self._factors(name)]
                matrix = factors[0] if len(factors) == 1 else factors[0] @ factors[1]
                scale = self.radapter_s[name].to(weight.device, dtype) * alpha
                total = total + total @ (scale * matrix)
        return total

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Merges adapters, by default the active ones, into the Linear before them; skips merged ones with PEFT's
        warning. Raises MergeError if `safe_merge` and a merged value would not be finite; nothing is changed."""
        names = self._own(check_adapters_to_merge(self, adapter_names))
        if not names:
            return
        linear = self._linear
        merged = self._merged_tensors(names)
        if safe_merge:
            self._check_finite(merged, names)
        if not self._originals:
            self._originals = {part: getattr(linear, part).data for part in merged}
        for part, value in merged.items():
            getattr(linear, part).data = value
        self.merged_adapters.extend(names)

    def check_mergeable(self, adapter_names: list[str] | None = None) -> None:
        """Raises MergeError if merging would give non-finite weights; changes nothing."""
        wanted = self.active_adapters if adapter_names is None else adapter_names
        names = [name for name in self._own(wanted) if name not in self.merged_adapters]
        if names:
            self._check_finite(self._merged_tensors(names), names)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restores the tensors from before the first merge, bitwise."""
        if not self.merged:
            warnings.warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        linear = self._linear
        for part, original in self._originals.items():
            parameter = getattr(linear, part)
            # the model may have moved, or changed its dtype, while it was merged
            parameter.data = original.to(parameter.device, parameter.dtype)
        self._originals = {}
        self.merged_adapters = []

    def unload_and_optionally_merge_module(self, **unused: Any) -> nn.Module:
        """PEFT's hook for unloading: the wrapped module, which the tuner has merged before if asked to."""
        # unloading is final: nothing may unmerge it later through this layer
        self._originals = {}
        self.merged_adapters = []
        base_layer: nn.Module = self.base_layer
        return base_layer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or name == "base_layer":
                raise
            return getattr(self.base_layer, name)  # batch_first, in_proj_weight, in_features ...

    def __repr__(self) -> str:
        return "radapter." + super().__repr__()

    @property
    def _linear(self) -> nn.Linear:
        base = self.get_base_layer()
        linear = base.out_proj if isinstance(base, nn.MultiheadAttention) else base
        assert isinstance(linear, nn.Linear)
        return linear

    def _own(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self.radapter_s]

    def _factors(self, name: str) -> list[Tensor]:
        if name in self.radapter_A:
            return [self.radapter_A[name]]
        return [self.radapter_B[name], self.radapter_C[name]]

    def _adapted(self, output: Tensor) -> Tensor:
        names, axis = self._own(self.active_adapters), self.site.sample_axis
        batched_dims = 3 if isinstance(self.get_base_layer(), nn.MultiheadAttention) else axis + 2
        if names and output.ndim < batched_dims:  # all tokens are one sample
            return self._adapted_batch(output.unsqueeze(axis), names).squeeze(axis)
        return self._adapted_batch(output, names)

    def _adapted_batch(self, output: Tensor, names: list[str]) -> Tensor:
        for position, name in enumerate(names):
            # the site's coins belong to its first adapter; a second one has coins of its own
            coins = self.site.name if position == 0 else f"{self.site.name}#{position}"
            config = self.configs[name]
            scale = 1.0 if self.training else config.alpha
            if scale == 0.0:
                continue
            # autocast would turn a float32 `output` into half precision
            with _no_autocast(output):
                drop = config.adapter_drop if self.training else 0.0
                if not drop:
                    output = _plus_branch(output, self._scaled_factors(name, scale, output.dtype))
                else:
                    output = self._dropped(output, name, coins, drop)
        return output

    def _dropped(self, output: Tensor, name: str, coins: str, drop: float) -> Tensor:
        axis, kind = self.site.sample_axis, self.configs[name].drop_kind
        if kind == "dropout":
            branch = output
            for factor in self._scaled_factors(name, 1.0, output.dtype):
                branch = branch @ factor
            return output + F.dropout(branch, drop)
        kept = self._kept(coins, output.shape[axis], 1.0 - drop)
        if kept is not None:
            kept = kept.to(output.device, non_blocking=True)
        if kind == "drop-path":
            adapted = _plus_branch(output, self._scaled_factors(name, 1.0, output.dtype))
            return _only_kept(adapted, axis, kept) / (1.0 - drop)
        factors = self._scaled_factors(name, 1.0 / (1.0 - drop), output.dtype)
        if kept is None:
            return _plus_branch(output, factors)
        return _plus_branch_of_kept(output, axis, kept, factors)

    def _scaled_factors(self, name: str, scale: float, dtype: torch.dtype) -> list[Tensor]:
        """The factors with s and `scale` folded in: they are small, the activations are not."""
        *front, last = self._factors(name)
        return [factor.to(dtype) for factor in (*front, last * (self.radapter_s[name] * scale))]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _kept(self, site: str, samples: int, keep: float) -> Tensor | None:
        """Positions of the samples whose branch is kept, (K,), on the CPU; None if all are."""
        # on the CPU, because the number of kept samples sizes the product and is needed by the host
        coins = self.coin_source.draw(site, self.site.tower, samples, keep, torch.device("cpu"))
        if tuple(coins.shape) != (samples,):
            raise ConfigError(
                f"coins at site {site!r} must be one per sample, ({samples},). Got {tuple(coins.shape)}."
            )
        return None if bool(coins.all()) else coins.nonzero().squeeze(1)

    def _merged_tensors(self, names: list[str]) -> dict[str, Tensor]:
        linear = self._linear
        weight, bias = linear.weight.data, linear.bias
        # in float32 or wider throughout; rounded once
        wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
        wide_bias = None if bias is None else bias.data.to(wide.dtype)
        with torch.autocast(weight.device.type, enabled=False):
            for name in names:
                affine = self.affine(name)
                wide = affine.T @ wide
                wide_bias = None if wide_bias is None else affine.T @ wide_bias
        merged = {"weight": wide.to(weight.dtype)}
        if bias is not None and wide_bias is not None:
            merged["bias"] = wide_bias.to(bias.dtype)
        return merged

    def _check_finite(self, merged: dict[str, Tensor], names: list[str]) -> None:
        if not all(bool(value.isfinite().all()) for value in merged.values()):
            raise MergeError(
                f"adapter {', '.join(map(repr, names))} gives non-finite weights at {self.site.name}. "
                "Nothing was merged. Check the run for skipped steps."
            )


def _plus_branch(output: Tensor, factors: list[Tensor]) -> Tensor:
    """y + y A, for y (..., D); keeps y's memory layout."""
    if output.ndim == 3 and not output.is_contiguous() and output.transpose(0, 1).is_contiguous():
        # nn.MultiheadAttention computes (L, B, D) and returns a view of it
        return _plus_branch(output.transpose(0, 1), factors).transpose(0, 1)
    *front, last = factors
    rows = output.reshape(-1, output.shape[-1])
    branch = rows
    for factor in front:
        branch = branch @ factor
    return torch.addmm(rows, branch, last).view(output.shape)


def _plus_branch_of_kept(output: Tensor, axis: int, kept: Tensor, factors: list[Tensor]) -> Tensor:
    """y + y A for the samples `kept` (K,) along `axis`, y for the others, which cost nothing."""
    branch = output.index_select(axis, kept)
    for factor in factors:
        branch = branch @ factor
    return output.index_add(axis, kept, branch)


def _only_kept(output: Tensor, axis: int, kept: Tensor | None) -> Tensor:
    """The samples `kept` (K,) along `axis`, zeros for the others; all samples if `kept` is None."""
    if kept is None:
        return output
    return torch.zeros_like(output).index_add(axis, kept, output.index_select(axis, kept))


def _no_autocast(output: Tensor) -> Any:
    device = output.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


@contextmanager
def use_coins(module: nn.Module, source: CoinSource) -> Iterator[None]:
    """A block in which every adapter in `module` draws its coins from `source`. With gradient checkpointing the
    backward pass draws again, so call it inside the block too."""
    with ExitStack() as restored:
        for part in module.modules():
            if isinstance(part, RAdapterLayer):
                restored.callback(setattr, part, "coin_source", part.coin_source)
                part.coin_source = source
        yield
