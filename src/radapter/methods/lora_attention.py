"""LoRA on an attention with one matrix for queries, keys and values, `in_proj_weight` (3D, D).

q, k and v get a pair (A, B) each, like the separate projections of transformers and CLIP-LoRA (Zanella and Ben Ayed,
"Low-rank few-shot adaptation of vision-language models", CVPR workshops 2024); PEFT's own layer has one A for all
three. The output projection is PEFT's `lora.Linear`.

    W_q' = W_q + scaling B_q A_q, and the same for k and v        A: (3r, D) and B: (3D, r), rows of q, k, v in turn

PEFT's own layer also adds the update to the weights for each forward pass and subtracts it again, which rounds the
frozen weights a little in every step. This layer never changes them: a forward pass computes its own sum.
"""

from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig
from peft.tuners import lora
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_adapters_to_merge
from torch import Tensor, nn
from torch.func import functional_call

from radapter.adapter.sites import is_packed_attention
from radapter.errors import MergeError

_PROJECTIONS = 3


class AttentionLora(nn.Module, LoraLayer):  # type: ignore[misc]
    """An `nn.MultiheadAttention`, or open_clip's `Attention`, with low-rank updates of its four projections.

    PEFT creates it for configurations that passed through `use_separate_pairs`. All four updates have rank `r`; the
    other arguments are PEFT's. Merging keeps the original matrix, so that unmerging restores it bitwise.
    """

    if TYPE_CHECKING:  # LoraLayer sets its attributes without types

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, base_layer: Any, adapter_name: str, r: int = 0, **options: Any) -> None:
        super().__init__()
        LoraLayer.__init__(self, base_layer)
        base_layer.out_proj = lora.Linear(base_layer.out_proj, adapter_name, r=r, **options)
        self._active_adapter = adapter_name
        self._original: Tensor | None = None
        self._add_pairs(adapter_name, r, **options)

    def update_layer(self, adapter_name: str, r: int, **options: Any) -> None:
        """PEFT's hook for a further adapter."""
        self.base_layer.out_proj.update_layer(adapter_name, r, **options)
        self._add_pairs(adapter_name, r, **options)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The attention's own output, computed with the updated projections."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        names = [name for name in self.active_adapters if name in self.lora_A]
        if self.disable_adapters or self.merged or not names:
            return self.base_layer(*args, **kwargs)
        weights = {"in_proj_weight": self._updated(self.base_layer.in_proj_weight, self, names)}
        if isinstance(self.base_layer, nn.MultiheadAttention):  # reads out_proj.weight and never calls it
            out: Any = self.base_layer.out_proj
            weights["out_proj.base_layer.weight"] = self._updated(out.base_layer.weight, out, names)
        return functional_call(self.base_layer, weights, args, kwargs)

    def get_delta_weight(self, adapter: str) -> Tensor:
        """The update of `in_proj_weight`, (3D, D)."""
        down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight
        up, down = (factor.unflatten(0, (_PROJECTIONS, -1)) for factor in (up, down))
        pairs: Tensor = up @ down  # (3, D, D)
        scaling: float = self.scaling[adapter]
        return pairs.flatten(0, 1) * scaling

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the updates of q, k and v to `in_proj_weight`. Raises MergeError as `RAdapterLayer.merge`."""
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.lora_A]
        if not names:
            return
        weight = self.base_layer.in_proj_weight
        merged = self._updated(weight.data, self, names)
        if safe_merge and not merged.isfinite().all():
            raise MergeError(
                f"adapter {', '.join(map(repr, names))} gives non-finite weights in an attention's in_proj_weight. "
                "It was not merged. Check the run for skipped steps."
            )
        if self._original is None:
            self._original = weight.data
        weight.data = merged
        self.merged_adapters.extend(names)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restores `in_proj_weight` bitwise."""
        if self._original is not None:
            weight = self.base_layer.in_proj_weight
            weight.data = self._original.to(weight.device, weight.dtype)
        self._original = None
        self.merged_adapters: list[str] = []

    def unload_and_optionally_merge_module(
        self, merge: bool, safe_merge: bool, adapter_names: list[str] | None
    ) -> nn.Module:
        """PEFT's hook for unloading: the attention, with a plain output projection."""
        base: nn.Module = self.base_layer
        out: Any = base.out_proj
        if merge:
            self.merge(safe_merge, adapter_names)
            out.merge(safe_merge, adapter_names)
        base.out_proj = out.get_base_layer()
        return base

    def __repr__(self) -> str:
        return "radapter." + super().__repr__()

    def _get_in_out_features(self, module: nn.Module) -> tuple[int, int]:
        rows, columns = module.in_proj_weight.shape  # type: ignore[misc]
        return columns, rows

    def _add_pairs(self, adapter_name: str, r: int, **options: Any) -> None:
        LoraLayer.update_layer(self, adapter_name, r, **options)
        weight = self.base_layer.in_proj_weight
        shared = self.lora_A[adapter_name].weight
        # a fresh Linear has the start of LoRA's A
        down = nn.Linear(self.in_features, _PROJECTIONS * r, bias=False)
        down.requires_grad_(shared.requires_grad)
        self.lora_A[adapter_name] = down.to(weight.device, shared.dtype)
        self.lora_B[adapter_name].to(weight.device)

    @staticmethod
    def _updated(weight: Tensor, layer: LoraLayer, names: list[str]) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # it would round the update
            for name in names:
                weight = weight + layer.get_delta_weight(name).to(weight.dtype)
        return weight


def use_separate_pairs(config: LoraConfig, module: nn.Module) -> None:
    """Makes PEFT put an `AttentionLora` at each attention of `module` with one matrix for q, k and v.

    `config` is changed. PEFT does not save this, so call it again before an adapter is loaded.
    """
    attentions = {type(part) for part in module.modules() if is_packed_attention(part)}
    if attentions:
        config._register_custom_module(dict.fromkeys(attentions, AttentionLora))
