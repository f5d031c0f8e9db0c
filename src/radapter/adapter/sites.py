"""Adapter sites: after the attention output and the FFN output of every block, before the residual addition.

Read in this order: `Site`, the tables `_BLOCKS`, `_TOWERS`, `_PAIRS` (a new family is one line in each), then
`find_sites`. Everything is found by type. A type's library is looked up among the loaded modules: a model of a class
cannot exist before its library is imported, so nothing is imported for it here.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from radapter.adapter.config import TOWERS, check_towers
from radapter.errors import SiteError

Tower = Literal["image", "text"]


@dataclass(frozen=True)
class Site:
    """One place for an adapter.

    Args:
        name: Of the wrapped module, relative to the searched module.
        tower: "image" or "text".
        kind: "attention" or "ffn"; "other" for a module that the user named in an unknown block.
        width: D, the size of the output that is adapted.
        sample_axis: The axis of the output that counts samples: 0 if the batch comes first, 1 in blocks that see
            (L, B, D).
        block: Number of the block within its tower, from 0; None outside of numbered blocks.
    """

    name: str
    tower: Tower
    kind: Literal["attention", "ffn", "other"]
    width: int
    sample_axis: int
    block: int | None = None


class _Block(NamedTuple):
    """A residual block: its type, its two outputs, and norms that may follow them.

    attention: where versions of a library differ, the names to try; the first that can carry an adapter is used.
    """

    library: str
    type_name: str
    attention: tuple[str, ...]
    ffn: str
    attention_norm: str = ""
    ffn_norm: str = ""


_BLOCKS = (
    _Block("open_clip.transformer", "ResidualAttentionBlock", ("attn", "attn.out_proj"), "mlp.c_proj"),
    _Block("open_clip.transformer", "CustomResidualAttentionBlock", ("attn.out_proj",), "mlp.c_proj", "ln_attn"),
    _Block("timm.models.vision_transformer", "Block", ("attn.proj",), "mlp.fc2"),
    _Block("timm.models.vision_transformer", "ResPostBlock", ("attn.proj",), "mlp.fc2", "norm1", "norm2"),
    _Block("timm.models.eva", "EvaBlock", ("attn.proj",), "mlp.fc2"),
    _Block("timm.models.eva", "EvaBlockPostNorm", ("attn.proj",), "mlp.fc2", "norm1", "norm2"),
    _Block("transformers.models.clip.modeling_clip", "CLIPEncoderLayer", ("self_attn.out_proj",), "mlp.fc2"),
    _Block("transformers.models.siglip.modeling_siglip", "SiglipEncoderLayer", ("self_attn.out_proj",), "mlp.fc2"),
    _Block(
        "transformers.models.siglip2.modeling_siglip2", "Siglip2EncoderLayer", ("self_attn.out_proj",), "mlp.fc2"
    ),
)  # fmt: skip

# library, type, tower; a tower inside a tower (TimmModel's trunk) belongs to the outer one
_TOWERS: tuple[tuple[str, str, Tower], ...] = (
    ("open_clip.transformer", "VisionTransformer", "image"),
    ("open_clip.transformer", "TextTransformer", "text"),
    ("open_clip.timm_model", "TimmModel", "image"),
    ("open_clip.modified_resnet", "ModifiedResNet", "image"),
    ("open_clip.hf_model", "HFTextEncoder", "text"),
    ("timm.models.vision_transformer", "VisionTransformer", "image"),
    ("timm.models.eva", "Eva", "image"),
    ("transformers.models.clip.modeling_clip", "CLIPVisionModel", "image"),
    ("transformers.models.clip.modeling_clip", "CLIPTextModel", "text"),
    ("transformers.models.siglip.modeling_siglip", "SiglipVisionModel", "image"),
    ("transformers.models.siglip.modeling_siglip", "SiglipTextModel", "text"),
    ("transformers.models.siglip2.modeling_siglip2", "Siglip2VisionModel", "image"),
    ("transformers.models.siglip2.modeling_siglip2", "Siglip2TextModel", "text"),
)

# library, type, its image tower, its text tower; what else it holds (CoCa's decoder) has no sites
_PAIRS = (
    ("open_clip.model", "CLIP", "visual", "transformer"),
    ("open_clip.model", "CustomTextCLIP", "visual", "text"),
    ("open_clip.coca_model", "CoCa", "visual", "text"),
    ("transformers.models.clip.modeling_clip", "CLIPModel", "vision_model", "text_model"),
    ("transformers.models.siglip.modeling_siglip", "SiglipModel", "vision_model", "text_model"),
    ("transformers.models.siglip2.modeling_siglip2", "Siglip2Model", "vision_model", "text_model"),
)

# library, type, children whose weight it reads without calling them
_READS_WEIGHT_OF = (
    ("torch.nn", "MultiheadAttention", ("out_proj",)),
    ("timm.models.eva", "EvaAttention", ("qkv",)),
)

_LOOKED_FOR = (
    "Looked for the blocks of: transformers CLIP, SigLIP, SigLIP2 (self_attn.out_proj, mlp.fc2), "
    "timm ViT and EVA (attn.proj, mlp.fc2), open_clip (attn or attn.out_proj, mlp.c_proj)."
)


def find_sites(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[Site]:
    """The sites of the known families inside `module`, in the order of its modules.

    Args:
        module: A dual encoder, a tower, or a module that contains one; adapted already or not.
        towers: The towers to search.

    Returns:
        At least one site for every requested tower that is present; an absent tower has none.

    Raises:
        SiteError: No site at all, a present tower without sites, or a norm between a site and its residual addition.
    """
    sites = []
    for site, obstacle in candidate_sites(module, towers):
        if obstacle:
            raise SiteError(obstacle)
        sites.append(site)
    return sites


def block_names(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[str]:
    """The names of the residual blocks of these towers, each once, in the order of the module.

    Raises:
        SiteError: As for `find_sites`.
    """
    sites = find_sites(module, towers)
    attentions = [site.name for site in sites if site.kind == "attention"]
    ffns = [site.name for site in sites if site.kind == "ffn"]
    return list(dict.fromkeys(_common_parent(*pair) for pair in zip(attentions, ffns, strict=True)))


def candidate_sites(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[tuple[Site, str]]:
    """The sites of `find_sites`, each with what makes an exact merge impossible there, or "". Raises SiteError if
    there is no site at all, or a present tower has none."""
    wanted = check_towers(towers)
    found: list[tuple[Site, str]] = []
    for name, root, tower in present_towers(module):
        if tower not in wanted:
            continue
        inside = list(_sites_of_tower(name, root, tower))
        if not inside:
            others = tuple(other for other in TOWERS if other != tower)
            raise SiteError(
                f"no adapter site in the {tower} tower {name or 'itself'!r}, a {_type_of(root)}. {_LOOKED_FOR} "
                f"Leave the tower out by towers={others!r}, or give target_modules."
            )
        found.extend(inside)
    if not found:
        raise SiteError(
            f"no adapter site in {type(module).__name__!r}, towers {wanted}. {_LOOKED_FOR}"
            f"{_fast_path_note(module)} Give target_modules."
        )
    return found


def present_towers(module: nn.Module) -> list[tuple[str, nn.Module, Tower]]:
    """Name, module and kind of every known tower inside `module`; only the outermost of nested ones."""
    return list(_towers_under("", module))


def numbered_block(name: str) -> int | None:
    """The first number among the parts of a module's name: `encoder.layers.3.mlp` is in block 3."""
    match = re.search(r"(?:^|\.)(\d+)(?:\.|$)", name)
    return int(match.group(1)) if match else None


def inert_reason(module: nn.Module, name: str) -> str:
    """Why wrapping the submodule `name` would have no effect, or ""."""
    parts = name.split(".")
    for depth in range(len(parts)):
        ancestor = base_of(module.get_submodule(".".join(parts[:depth])))
        path = ".".join(parts[:depth]) or "the module itself"
        if isinstance(ancestor, nn.TransformerEncoderLayer):
            return (
                f"{path!r} is an nn.TransformerEncoderLayer: in evaluation its fast path reads the weights of "
                "its children without calling them"
            )
    for library, type_name, children in _READS_WEIGHT_OF:
        known = _loaded(library, type_name)
        if known and isinstance(ancestor, known) and parts[-1] in children:
            return f"{path!r}, a {_type_of(ancestor)}, reads its weight and never calls it; target {path!r}"
    return ""


def is_packed_attention(module: nn.Module) -> bool:
    """Whether it is an attention with one matrix for queries, keys and values, the parameter `in_proj_weight`.

    `nn.MultiheadAttention` and open_clip's own `Attention` are; they read the matrix and call no layer for it.
    """
    return (
        not isinstance(module, BaseTunerLayer)
        and isinstance(getattr(module, "in_proj_weight", None), nn.Parameter)
        and isinstance(getattr(module, "out_proj", None), nn.Linear)
    )


def base_of(module: nn.Module) -> nn.Module:
    """The module below PEFT's wrappers."""
    base: nn.Module = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    return base


def _towers_under(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module, Tower]]:
    for library, type_name, image, text in _PAIRS:
        if _is(module, library, type_name):
            yield _joined(name, image), module.get_submodule(image), "image"
            yield _joined(name, text), module.get_submodule(text), "text"
            return
    for library, type_name, tower in _TOWERS:
        if _is(module, library, type_name):
            yield name, module, tower
            return
    for child_name, child in module.named_children():
        yield from _towers_under(_joined(name, child_name), child)


def _sites_of_tower(name: str, root: nn.Module, tower: Tower) -> Iterator[tuple[Site, str]]:
    number = 0
    for inner, module in root.named_modules():
        block = next((block for block in _BLOCKS if _is(module, block.library, block.type_name)), None)
        if block is None:
            continue
        path = _joined(name, inner)
        attention = _first_that_carries(module, block.attention)
        axis = _sample_axis(module, attention)
        for kind, target, norm in (
            ("attention", attention, block.attention_norm),
            ("ffn", block.ffn, block.ffn_norm),
        ):
            width = _width_of(module, path, target)
            site = Site(_joined(path, target), tower, kind, width, axis, number)  # type: ignore[arg-type]
            yield site, _norm_obstacle(module, path, target, norm)
        number += 1


def _first_that_carries(block: nn.Module, targets: Sequence[str]) -> str:
    """open_clip 4 has an attention of its own in place of `nn.MultiheadAttention`, and calls its `out_proj`."""
    return next((target for target in targets if _output_width_at(block, target) is not None), targets[0])


def _sample_axis(block: nn.Module, attention_name: str) -> int:
    """open_clip's blocks may run sequence first; the FFN follows the attention of its block."""
    attention = base_of(block.get_submodule(attention_name))
    return 1 if isinstance(attention, nn.MultiheadAttention) and not attention.batch_first else 0


def _output_width_at(block: nn.Module, target: str) -> int | None:
    try:
        return output_width(base_of(block.get_submodule(target)))
    except AttributeError:
        return None


def _width_of(block: nn.Module, path: str, target: str) -> int:
    width = _output_width_at(block, target)
    if width is None:
        try:
            kind = _type_of(base_of(block.get_submodule(target)))
            what = f"It is a {kind}. Give target_modules, or load the model without quantisation."
        except AttributeError:
            what = "It is missing: the block is of a form that is not known. Give target_modules."
        raise SiteError(
            f"{_joined(path, target)} must be an nn.Linear or nn.MultiheadAttention with a floating-point weight. "
            f"{what}"
        )
    return width


def output_width(module: nn.Module) -> int | None:
    """D of a module that can carry an adapter, or None."""
    if isinstance(module, nn.MultiheadAttention):
        return module.embed_dim if module.out_proj.weight.is_floating_point() else None
    if isinstance(module, nn.Linear) and module.weight.is_floating_point():
        return module.out_features
    return None


def _norm_obstacle(block: nn.Module, path: str, target: str, norm: str) -> str:
    behind = getattr(block, norm, None) if norm else None
    if behind is None or isinstance(behind, nn.Identity):
        return ""
    return (
        f"{_joined(path, norm)} ({_type_of(behind)}) stands between {_joined(path, target)} and the residual "
        "addition: an adapter there has no exact merge. Leave it out by exclude_modules."
    )


def _fast_path_note(module: nn.Module) -> str:
    for name, part in module.named_modules():
        if isinstance(part, nn.TransformerEncoderLayer):
            return f" {name or 'It'} is an nn.TransformerEncoderLayer, whose evaluation bypasses wrapped children."
    return ""


def _is(module: nn.Module, library: str, type_name: str) -> bool:
    known = _loaded(library, type_name)
    return known is not None and isinstance(module, known)


def _loaded(library: str, type_name: str) -> type | None:
    return getattr(sys.modules.get(library), type_name, None)


def _type_of(module: nn.Module) -> str:
    return type(module).__name__


def _joined(name: str, child: str) -> str:
    return f"{name}.{child}" if name and child else name or child


def _common_parent(first: str, second: str) -> str:
    shared = []
    for ours, theirs in zip(first.split("."), second.split("."), strict=False):
        if ours != theirs:
            break
        shared.append(ours)
    return ".".join(shared)
