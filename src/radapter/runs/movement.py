"""Which layers moved: the norm of the merged change, by tower, block and part of the block.

Every method is seen as weights before and after merging, so that adapters and full fine-tuning can be compared.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import nn

from radapter.adapter.sites import Site, block_names, find_sites, present_towers
from radapter.errors import SiteError

MOVED = "moved.json"
Part = Literal["attention", "ffn", "other"]


class Moved(BaseModel):
    """A part of a model that training changed.

    tower: None for what is outside the towers, such as a head. block: its number, from 0; None outside of blocks.
    change: the Frobenius norm of the change at alpha 1 over all changed tensors of the part. norm: that of the same
    tensors before training.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    tower: Literal["image", "text"] | None
    block: int | None
    part: Part
    change: float
    norm: float


MOVED_PARTS = TypeAdapter(list[Moved])


class _Place(NamedTuple):
    tower: Literal["image", "text"] | None
    block: int | None
    part: Part


def moved_parts(module: nn.Module, changes: Mapping[str, tuple[float, float]], prefix: str) -> list[Moved]:
    """Sums `Interpolation.changes` by part, towers and blocks in the module's order.

    `prefix` leads from the changed names to those of `module`, such as "encoder.module.".
    """
    places = _places(module)
    squares: dict[_Place, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, norms in changes.items():
        inside = name.removeprefix(prefix) if name.startswith(prefix) else ""
        fits = [
            start for start in places if inside == start or inside.startswith(f"{start}." if start else "")
        ]
        place = places[max(fits, key=len)] if inside and fits else _Place(None, None, "other")
        for index, norm in enumerate(norms):
            squares[place][index] += norm**2
    order = list(dict.fromkeys([*places.values(), _Place(None, None, "other")]))
    return [
        Moved(**place._asdict(), change=math.sqrt(squares[place][0]), norm=math.sqrt(squares[place][1]))
        for place in order
        if place in squares
    ]


def _places(module: nn.Module) -> dict[str, _Place]:
    """Name of a submodule -> the part that its parameters are counted as; the longest name holds."""
    places = {name: _Place(tower, None, "other") for name, _, tower in present_towers(module)}
    try:
        sites = find_sites(module)
    except SiteError:  # such as a convolutional tower
        return places
    attention, ffn = ([site for site in sites if site.kind == kind] for kind in ("attention", "ffn"))
    for block, *both in zip(block_names(module), attention, ffn, strict=True):
        places[block] = _Place(both[0].tower, both[0].block, "other")
        places |= {_branch(block, site): _Place(site.tower, site.block, _PARTS[site.kind]) for site in both}
    return places


_PARTS: Mapping[str, Part] = {"attention": "attention", "ffn": "ffn"}


def _branch(block: str, site: Site) -> str:
    """The child of the block that holds a site."""
    inside = site.name[len(block) :].lstrip(".").split(".")
    return f"{block}.{inside[0]}" if block else inside[0]
