"""Adapter sites: after the attention output and the FFN output of every block, before the residual addition; or
after every Linear of the blocks.

Everything is found by type, by the rules of `FAMILIES`, which `radapter.models` fills with one family per library. A
type's library is looked up among the loaded modules: a model cannot exist before its library is imported.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Literal, NamedTuple

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from radapter.adapter.config import TOWERS, check_towers
from radapter.errors import SiteError

Tower = Literal["image", "text"]
SiteKind = Literal["attention", "ffn", "projection", "hidden", "other"]
"""What a site is in its block: the attention's or the FFN's output; the projections of queries, keys and values; the
FFN's hidden layer; or a module that the user named in an unknown block."""
FUSED = ("q", "k", "v")


@dataclass(frozen=True)
class Site:
    """One place for an adapter."""

    name: str  # of the wrapped module, relative to the searched module
    tower: Tower
    kind: SiteKind
    width: int  # D, the size of the output that is adapted, or of each of its parts
    sample_axis: int  # of the output: 0 if the batch comes first, 1 in blocks that see (L, B, D)
    block: int | None = None  # its number within the tower, from 0; None outside of numbered blocks
    obstacle: str = field(default="", repr=False)  # what makes an exact merge impossible here, for an error
    parts: tuple[str, ...] = ()  # outputs of one module with an adapter each: "q", "k", "v", and "out"


class Block(NamedTuple):
    """A residual block: its type, its two outputs, and other parts of it, by their names in it."""

    kind: str  # "module:Type"
    attention: tuple[str, ...]  # versions of a library differ: the first that can carry an adapter is used
    ffn: str
    attention_norm: str = ""  # norms that may follow the outputs
    ffn_norm: str = ""
    attention_input: str = ""  # norms in front of attention and FFN; empty in blocks without
    ffn_input: str = ""
    ffn_scale: str = ""  # what may scale the FFN's output


class Family(NamedTuple):
    """What a library's models look like; types are "module:Type"."""

    name: str  # for errors
    blocks: tuple[Block, ...]
    # The towers in each type, "" being itself; other parts (CoCa's decoder) have no sites. A tower inside another
    # (TimmModel's trunk) belongs to the outer one.
    towers: Mapping[str, Mapping[str, Tower]]


FAMILIES: list[Family] = []

# children whose weight a type reads without calling them
_READS_WEIGHT_OF = {"torch.nn:MultiheadAttention": "out_proj", "timm.models.eva:EvaAttention": "qkv"}


def find_sites(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[Site]:
    """The sites of the known families in these towers of `module`, in the order of its modules.

    `module` is a dual encoder, a tower, or contains one; adapted already or not. Every requested tower that is
    present has at least one site.

    Raises:
        SiteError: No site at all, a present tower without sites, or a norm between a site and its residual addition.
    """
    sites = candidate_sites(module, towers)
    for site in sites:
        if site.obstacle:
            raise SiteError(site.obstacle)
    return sites


def block_names(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[str]:
    """The names of these towers' residual blocks, in the module's order. Raises SiteError as `find_sites`."""
    sites = find_sites(module, towers)
    of_kind = ([site.name for site in sites if site.kind == kind] for kind in ("attention", "ffn"))
    return list(dict.fromkeys(_common_parent(*pair) for pair in zip(*of_kind, strict=True)))


def candidate_sites(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[Site]:
    """As `find_sites`, but with sites that have an obstacle."""
    wanted = check_towers(towers)
    found: list[Site] = []
    for name, root, tower in present_towers(module):
        if tower not in wanted:
            continue
        inside = list(_sites_of_tower(name, root, tower))
        if not inside:
            others = tuple(other for other in TOWERS if other != tower)
            raise SiteError(
                f"no adapter site in the {tower} tower {name or 'itself'!r}, a {type(root).__name__}. "
                f"{_looked_for()} Leave the tower out by towers={others!r}, or give target_modules."
            )
        found.extend(inside)
    if not found:
        raise SiteError(
            f"no adapter site in {type(module).__name__!r}, towers {wanted}. {_looked_for()}"
            f"{_fast_path_note(module)} Give target_modules."
        )
    return found


def linear_sites(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[Site]:
    """The sites after every Linear of these towers' blocks, in the module's order.

    A Linear that gives queries, keys and values at once has three parts. An attention with `in_proj_weight` is one
    site with four parts, its output projection included. Raises SiteError as `find_sites`.
    """
    known = find_sites(module, towers)
    found: list[Site] = []
    for attention, ffn in zip(
        (site for site in known if site.kind == "attention"),
        (site for site in known if site.kind == "ffn"),
        strict=True,
    ):
        block = _common_parent(attention.name, ffn.name)
        for name in linear_names(module, block):
            linear = base_of(module.get_submodule(name))
            if is_packed_attention(linear):
                found.append(replace(attention, name=name, parts=(*FUSED, "out")))
                continue
            assert isinstance(linear, nn.Linear)
            kind: SiteKind = "hidden" if name.startswith(_parent(ffn.name)) else "projection"
            kind = {attention.name: attention.kind, ffn.name: ffn.kind}.get(name, kind)
            fused = kind == "projection" and linear.out_features == len(FUSED) * linear.in_features
            parts = FUSED if fused else ()
            width = linear.out_features // max(1, len(parts))
            found.append(replace(ffn, name=name, kind=kind, width=width, parts=parts))
    return found


class PreNormBlock(NamedTuple):
    """The names of the parts of a block with norms in front of attention and FFN."""

    tower: Tower
    attention_norm: str
    attention_readers: tuple[
        str, ...
    ]  # the modules that read that norm's output: Linears, or a whole attention
    ffn_norm: str
    ffn_readers: tuple[str, ...]
    ffn: str
    ffn_scale: str  # empty if nothing scales the FFN's output
    width: int


def pre_norm_blocks(module: nn.Module, towers: Sequence[str] = TOWERS) -> list[PreNormBlock]:
    """These towers' blocks. Raises SiteError as `find_sites`, or if a block has no norm in front of a part."""
    found = []
    kinds = {block.kind: block for family in FAMILIES for block in family.blocks}
    every = {site.name: site for site in linear_sites(module, towers)}
    for name in block_names(module, towers):
        part = module.get_submodule(name)
        block = next(block for kind, block in kinds.items() if _is(part, kind))
        for norm in (block.attention_input, block.ffn_input):
            if not norm or not hasattr(part, norm):
                raise SiteError(
                    f"{name!r}, a {type(part).__name__}, has no norm in front of attention and FFN."
                )
        own = [site for site in every.values() if site.name.startswith(f"{name}.")]
        ffn = next(site for site in own if site.kind == "ffn")
        scale = getattr(part, block.ffn_scale, None) if block.ffn_scale else None
        found.append(
            PreNormBlock(
                tower=ffn.tower,
                attention_norm=f"{name}.{block.attention_input}",
                attention_readers=tuple(
                    s.name for s in own if s.kind == "projection" or len(s.parts) > len(FUSED)
                ),
                ffn_norm=f"{name}.{block.ffn_input}",
                ffn_readers=tuple(site.name for site in own if site.kind == "hidden"),
                ffn=_parent(ffn.name)[:-1],
                ffn_scale=""
                if scale is None or isinstance(scale, nn.Identity)
                else f"{name}.{block.ffn_scale}",
                width=ffn.width,
            )
        )
    return found


def linear_names(module: nn.Module, block: str) -> list[str]:
    """The Linears in the block of that name, adapted or not; an attention with one matrix for queries, keys and
    values is named whole."""
    inside = [(name, part) for name, part in module.named_modules() if name.startswith(f"{block}.")]
    whole = [name for name, part in inside if is_packed_attention(base_of(part))]
    closed = tuple(f"{name}." for name, part in inside if name in whole or isinstance(part, BaseTunerLayer))
    return [
        name
        for name, part in inside
        if (isinstance(base_of(part), nn.Linear) or name in whole) and not name.startswith(closed)
    ]


def present_towers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module, Tower]]:
    """Name, module and kind of every known tower inside `module`; only the outermost of nested ones."""
    for family in FAMILIES:
        for kind, towers in family.towers.items():
            if _is(module, kind):
                for path, tower in towers.items():
                    yield _joined(name, path), module.get_submodule(path), tower
                return
    for child_name, child in module.named_children():
        yield from present_towers(child, _joined(name, child_name))


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
    for kind, child in _READS_WEIGHT_OF.items():
        if _is(ancestor, kind) and parts[-1] == child:
            return (
                f"{path!r}, a {type(ancestor).__name__}, reads its weight and never calls it; target {path!r}"
            )
    return ""


def is_packed_attention(module: nn.Module) -> bool:
    """Whether it is an attention that reads one matrix for queries, keys and values, `in_proj_weight`, as
    `nn.MultiheadAttention` and open_clip's own `Attention` do."""
    return (
        not isinstance(module, BaseTunerLayer)
        and isinstance(getattr(module, "in_proj_weight", None), nn.Parameter)
        and isinstance(getattr(module, "out_proj", None), nn.Linear)
    )


def base_of(module: nn.Module) -> nn.Module:
    """The module below PEFT's wrappers."""
    base: nn.Module = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    return base


def output_width(module: nn.Module) -> int | None:
    """D of a module that can carry an adapter, or None."""
    if isinstance(module, nn.MultiheadAttention):
        return module.embed_dim if module.out_proj.weight.is_floating_point() else None
    if isinstance(module, nn.Linear) and module.weight.is_floating_point():
        return module.out_features
    return None


def sample_axis(attention: nn.Module) -> int:
    """The axis of samples behind an attention, and in its block: open_clip's blocks may run sequence first."""
    return 1 if isinstance(attention, nn.MultiheadAttention) and not attention.batch_first else 0


def _sites_of_tower(name: str, root: nn.Module, tower: Tower) -> Iterator[Site]:
    blocks = [block for family in FAMILIES for block in family.blocks]
    number = 0
    for inner, module in root.named_modules():
        block = next((block for block in blocks if _is(module, block.kind)), None)
        if block is None:
            continue
        path = _joined(name, inner)
        # open_clip 4 has an attention of its own in place of `nn.MultiheadAttention`, and calls its `out_proj`
        carries = (target for target in block.attention if _width(module, target) is not None)
        attention = next(carries, block.attention[0])
        axis = sample_axis(base_of(module.get_submodule(attention)))
        for kind, target, norm in (
            ("attention", attention, block.attention_norm),
            ("ffn", block.ffn, block.ffn_norm),
        ):
            width = _checked_width(module, path, target)
            obstacle = _norm_obstacle(module, path, target, norm)
            yield Site(_joined(path, target), tower, kind, width, axis, number, obstacle)  # type: ignore[arg-type]
        number += 1


def _width(block: nn.Module, target: str) -> int | None:
    try:
        return output_width(base_of(block.get_submodule(target)))
    except AttributeError:
        return None


def _checked_width(block: nn.Module, path: str, target: str) -> int:
    if (width := _width(block, target)) is not None:
        return width
    try:
        kind = type(base_of(block.get_submodule(target))).__name__
        what = f"It is a {kind}. Give target_modules, or load the model without quantisation."
    except AttributeError:
        what = "It is missing: the block has an unknown form. Give target_modules."
    raise SiteError(
        f"{_joined(path, target)} must be an nn.Linear or nn.MultiheadAttention with a floating-point weight. {what}"
    )


def _norm_obstacle(block: nn.Module, path: str, target: str, norm: str) -> str:
    behind = getattr(block, norm, None) if norm else None
    if behind is None or isinstance(behind, nn.Identity):
        return ""
    return (
        f"{_joined(path, norm)} ({type(behind).__name__}) is between {_joined(path, target)} and the residual "
        "addition: an adapter there has no exact merge. Leave it out by exclude_modules."
    )


def _looked_for() -> str:
    first = {family.name: family.blocks[0] for family in FAMILIES}
    known = (f"{name} ({' or '.join(block.attention)}, {block.ffn})" for name, block in first.items())
    return f"Looked for the blocks of: {', '.join(known)}."


def _fast_path_note(module: nn.Module) -> str:
    for name, part in module.named_modules():
        if isinstance(part, nn.TransformerEncoderLayer):
            return f" {name or 'It'} is an nn.TransformerEncoderLayer, whose evaluation bypasses wrapped children."
    return ""


def _is(module: nn.Module, kind: str) -> bool:
    library, _, name = kind.partition(":")
    known = getattr(sys.modules.get(library), name, None)
    return known is not None and isinstance(module, known)


def _joined(name: str, child: str) -> str:
    return f"{name}.{child}" if name and child else name or child


def _parent(name: str) -> str:
    """The prefix of a module's siblings, such as "mlp."."""
    return name[: name.rfind(".") + 1]


def _common_parent(first: str, second: str) -> str:
    pairs = zip(first.split("."), second.split("."), strict=False)
    return ".".join(part for part, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
