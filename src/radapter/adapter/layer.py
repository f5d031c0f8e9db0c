"""The linear adapter of one site: its forward, and its merge into the Linear before it.

Source: Kim et al., ECCV 2024. In row convention, with y = u W^T + b the branch output of the site (W as torch
stores it, (D, D_in)), A (D, D) the adapter matrix and s its learned scalar:

    adapted   z  = y + alpha s y A            training: alpha = 1, and per sample gamma / (1 - p) for dropping
    affine    M  = I + alpha s A
    merged    W' = M^T W,  b' = M^T b

A is one matrix, or B C of rank r. Several active adapters apply one after the other, in the order of the list, and
merge in that order. A site with P parts (queries, keys and values of one module) has a matrix for each of them, (P,
D, D), and P scalars. All the arithmetic of the method is in this file, and everything else asks `affine()`.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from radapter.adapter.coins import CoinSource, TorchCoins
from radapter.adapter.config import RAdapterConfig
from radapter.adapter.sampled_call import SampledCall
from radapter.adapter.sites import FUSED, Site
from radapter.errors import ConfigError, MergeError


class WrappingLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A layer of PEFT; attributes that it lacks are those of the wrapped module."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or name == "base_layer":
                raise
            return getattr(self.base_layer, name)  # batch_first, in_proj_weight, in_features ...


class RescalableLayer(WrappingLayer):
    """A layer of PEFT whose branch is multiplied by alpha in evaluation; `configs` has the alpha of each adapter."""

    configs: dict[str, Any]


class RAdapterLayer(RescalableLayer):
    """A site's module with its adapters: `nn.Linear`, or `nn.MultiheadAttention`, whose output projection is
    adapted.

    `nn.MultiheadAttention` is wrapped whole, because it reads `out_proj.weight` and never calls `out_proj`. If the
    site has parts, the projections of queries, keys and values inside are adapted too. They are then merged for each
    forward pass, so a sample is dropped for all three at once.
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
        self.radapter_s = nn.ParameterDict()  # (1,): FSDP takes no scalars; (P,) for P parts
        self.merged_adapters: list[str] = []
        self._originals: dict[str, Tensor] = {}
        # as PEFT's layers have them; nn.MultiheadAttention does not
        linear = self._linear
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.training = base_layer.training  # a model in evaluation mode stays in it

    def update_layer(self, adapter_name: str, config: RAdapterConfig) -> None:
        """Adds an adapter. The config is kept, not copied: a change of its alpha acts at once."""
        self.configs[adapter_name] = config
        width, rank = self.site.width, config.rank_at(self.site.kind)
        parts = (len(self.site.parts),) if self.site.parts else ()
        if rank is None:
            matrix = torch.zeros(*parts, width, width)
            if not config.init_weights:
                nn.init.normal_(matrix, std=1 / math.sqrt(width))
            self.radapter_A[adapter_name] = nn.Parameter(matrix)
        else:
            down, up = torch.empty(*parts, width, rank), torch.zeros(*parts, rank, width)
            for matrix in down.view(-1, width, rank):
                nn.init.xavier_uniform_(matrix)
            if not config.init_weights:
                # so that the entries of B C have variance 1 / D, as those of a full random matrix
                nn.init.normal_(down, std=1 / math.sqrt(width))
                nn.init.normal_(up, std=1 / math.sqrt(rank))
            self.radapter_B[adapter_name] = nn.Parameter(down)
            self.radapter_C[adapter_name] = nn.Parameter(up)
        # float32 would round the scalar of a float64 model
        dtype = torch.promote_types(self._linear.weight.dtype, torch.float32)
        scale = torch.full(parts or (1,), config.init_scale, dtype=dtype)
        self.radapter_s[adapter_name] = nn.Parameter(scale)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped module's output, or its first element, with the active adapters applied, in the same shape."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        if self.disable_adapters or self.merged:
            return self.base_layer(*args, **kwargs)
        output = self._projected(args, kwargs) if self._is_split else self.base_layer(*args, **kwargs)
        if isinstance(output, tuple):
            return (self._adapted(output[0]), *output[1:])
        return self._adapted(output)

    def affine(self, adapter_name: str | None = None) -> Tensor:
        """M = I + alpha s A of an adapter, or of the active ones in order: (D, D), or (P, D, D) for P parts, float32
        or wider, no gradient."""
        names = self._own(self.active_adapters) if adapter_name is None else [adapter_name]
        weight = self._linear.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        total = torch.eye(self.site.width, device=weight.device, dtype=dtype)
        if self.site.parts:
            total = total.repeat(len(self.site.parts), 1, 1)
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            for name in names:
                alpha = self.configs[name].alpha
                if alpha == 0.0:  # the base model, even if an adapter is not finite: 0 * inf is not a number
                    continue
                factors = [factor.to(weight.device, dtype) for factor in self._factors(name)]
                matrix = factors[0] if len(factors) == 1 else factors[0] @ factors[1]
                scale = self._scale(name).to(weight.device, dtype) * alpha
                total = total + total @ (scale * matrix)
        return total

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Merges adapters, by default the active ones, into the Linear before them; skips merged ones with PEFT's
        warning. Raises MergeError if `safe_merge` and a merged value would not be finite; nothing is changed."""
        names = self._own(check_adapters_to_merge(self, adapter_names))
        if not names:
            return
        base = self.get_base_layer()
        merged = self._merged_tensors(names)
        if safe_merge:
            self._check_finite(merged, names)
        if not self._originals:
            self._originals = {part: base.get_parameter(part).data for part in merged}
        for part, value in merged.items():
            base.get_parameter(part).data = value
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
        base = self.get_base_layer()
        for part, original in self._originals.items():
            parameter = base.get_parameter(part)
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

    def __repr__(self) -> str:
        return "radapter." + super().__repr__()

    @property
    def _linear(self) -> nn.Linear:
        base = self.get_base_layer()
        linear = base if isinstance(base, nn.Linear) else base.out_proj
        assert isinstance(linear, nn.Linear)
        return linear

    @property
    def _is_split(self) -> bool:
        """Whether the module is an attention whose projections are adapted too."""
        return bool(self.site.parts) and not isinstance(self.get_base_layer(), nn.Linear)

    @property
    def _at_output(self) -> Any:
        """Index of the matrices that are applied to the module's output."""
        return -1 if self._is_split else ...

    def _own(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self.radapter_s]

    def _factors(self, name: str) -> list[Tensor]:
        if name in self.radapter_A:
            return [self.radapter_A[name]]
        return [self.radapter_B[name], self.radapter_C[name]]

    def _scale(self, name: str) -> Tensor:
        """s, of a shape that multiplies the factors."""
        scale: Tensor = self.radapter_s[name]
        return scale[:, None, None] if self.site.parts else scale

    def _projected(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The output of an attention with adapted projections; samples that drop other adapters run apart."""
        base, names = self.get_base_layer(), self._own(self.active_adapters)
        scales = {
            name: (1.0 if self.training else config.alpha)
            for name, config in self.configs.items()
            if name in names
        }
        drops = {name: self.configs[name].adapter_drop if self.training else 0.0 for name in names}
        if not any(drops.values()):
            return functional_call(base, self._projections(scales), args, kwargs)
        call = SampledCall(base, args, kwargs, self.site.sample_axis)
        keep = {name: 1.0 - drop for name, drop in drops.items()}
        coins = torch.ones(len(names), call.samples, dtype=torch.bool)
        for position, name in enumerate(names):
            site = f"{self._coins_of(position)}.in_proj"
            if (kept := self._kept(site, call.samples, keep[name])) is not None:
                coins[position] = False
                coins[position, kept] = True
        patterns, pattern_of = torch.unique(coins, dim=1, return_inverse=True)
        outputs, order = [], []
        for number, pattern in enumerate(patterns.T.tolist()):
            of_pattern = (pattern_of == number).nonzero().squeeze(1)
            kept_scales = {n: 1.0 / keep[n] for n, is_kept in zip(names, pattern, strict=True) if is_kept}
            outputs.append(call(of_pattern, self._projections(kept_scales)))
            order.append(of_pattern)
        return call.joined(outputs, torch.cat(order))

    def _projections(self, scales: Mapping[str, float]) -> dict[str, Tensor]:
        """The attention's tensors for queries, keys and values with these adapters merged, with gradients."""
        base = self.get_base_layer()
        weight, bias = base.in_proj_weight.T, base.in_proj_bias
        with torch.autocast(weight.device.type, enabled=False):
            for name, scale in scales.items():
                if scale:
                    factors = self._scaled_factors(name, scale, weight.dtype, slice(len(FUSED)))
                    weight = _plus_branch(weight, factors)
                    bias = None if bias is None else _plus_branch(bias[None], factors).squeeze(0)
        adapted = {"in_proj_weight": weight.T.contiguous()}
        return adapted if bias is None else {**adapted, "in_proj_bias": bias}

    def _coins_of(self, position: int) -> str:
        # the site's coins belong to its first adapter; a second one has coins of its own
        return self.site.name if position == 0 else f"{self.site.name}#{position}"

    def _adapted(self, output: Tensor) -> Tensor:
        names, axis = self._own(self.active_adapters), self.site.sample_axis
        batched_dims = axis + 2 if isinstance(self.get_base_layer(), nn.Linear) else 3
        if names and output.ndim < batched_dims:  # all tokens are one sample
            return self._adapted_batch(output.unsqueeze(axis), names).squeeze(axis)
        return self._adapted_batch(output, names)

    def _adapted_batch(self, output: Tensor, names: list[str]) -> Tensor:
        for position, name in enumerate(names):
            coins, config = self._coins_of(position), self.configs[name]
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

    def _scaled_factors(self, name: str, scale: float, dtype: torch.dtype, parts: Any = None) -> list[Tensor]:
        """The factors with s and `scale` folded in: they are small, the activations are not. `parts` indexes the
        site's parts; the default is those of the output."""
        *front, last = self._factors(name)
        of = self._at_output if parts is None else parts
        return [factor[of].to(dtype) for factor in (*front, last * (self._scale(name) * scale))]

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
        base = self.get_base_layer()
        prefix = "" if isinstance(base, nn.Linear) else "out_proj."
        tensors: dict[str, Any] = {f"{prefix}{part}": self._at_output for part in ("weight", "bias")}
        if self._is_split:
            tensors |= {f"in_proj_{part}": slice(len(FUSED)) for part in ("weight", "bias")}
        affines = [self.affine(name) for name in names]
        merged = {}
        for name, parts in tensors.items():
            owner, _, part = name.rpartition(".")
            tensor = getattr(base.get_submodule(owner), part)
            if tensor is None:
                continue
            # in float32 or wider throughout; rounded once
            wide = tensor.data.to(torch.promote_types(tensor.dtype, torch.float32))
            with torch.autocast(tensor.device.type, enabled=False):
                for affine in affines:
                    wide = _times_transpose(affine[parts], wide)
            merged[name] = wide.to(tensor.dtype)
        return merged

    def _check_finite(self, merged: dict[str, Tensor], names: list[str]) -> None:
        if not all(bool(value.isfinite().all()) for value in merged.values()):
            raise MergeError(
                f"adapter {', '.join(map(repr, names))} gives non-finite weights at {self.site.name}. "
                "Nothing was merged. Check the run for skipped steps."
            )


def _times(rows: Tensor, factor: Tensor) -> Tensor:
    """rows @ factor; a factor (P, D, R) multiplies each of P equal parts of the last axis by its own matrix."""
    if factor.ndim == 2:
        return rows @ factor
    parts = rows.view(*rows.shape[:-1], len(factor), -1)
    return torch.einsum("...pd,pdr->...pr", parts, factor).flatten(-2)


def _times_transpose(affine: Tensor, tensor: Tensor) -> Tensor:
    """M^T W for a weight (D, D_in) or a bias (D,); M is (D, D), or (P, D, D) for P parts of the rows."""
    if affine.ndim == 2:
        return affine.T @ tensor
    rows = tensor[:, None] if tensor.ndim == 1 else tensor
    parts: Tensor = affine.mT @ rows.view(len(affine), -1, rows.shape[-1])
    return parts.view(tensor.shape)


def _plus_branch(output: Tensor, factors: list[Tensor]) -> Tensor:
    """y + y A, for y (..., D); keeps y's memory layout."""
    if output.ndim == 3 and not output.is_contiguous() and output.transpose(0, 1).is_contiguous():
        # nn.MultiheadAttention computes (L, B, D) and returns a view of it
        return _plus_branch(output.transpose(0, 1), factors).transpose(0, 1)
    *front, last = factors
    rows = output.reshape(-1, output.shape[-1])
    branch = rows
    for factor in front:
        branch = _times(branch, factor)
    if last.ndim == 3:
        return (rows + _times(branch, last)).view(output.shape)
    return torch.addmm(rows, branch, last).view(output.shape)


def _plus_branch_of_kept(output: Tensor, axis: int, kept: Tensor, factors: list[Tensor]) -> Tensor:
    """y + y A for the samples `kept` (K,) along `axis`, y for the others, which cost nothing."""
    branch = output.index_select(axis, kept)
    for factor in factors:
        branch = _times(branch, factor)
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
