"""The twenty objects of the world as signed distance fields: negative inside, in units of half the object's size.

Each class has six variants (proportions differ) and two channels: the body, and the inner detail (a door, an eye,
spots). They are built once on a 64 x 64 grid over [-1.35, 1.35] x [-1.35, 1.35], x to the right and y down; drawing
only samples the grid.

The distances to circles, boxes, lines and polygons are exact outside of combinations. Source: Inigo Quilez, "2D
distance functions". They take points (..., 2) and return (...).
"""

import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from radapter.hashing import uniform

VARIANTS = 6
GRID = 64
EXTENT = 1.35

Point = tuple[float, float]
Jitter = Sequence[float]  # four numbers in [-1, 1]


@functools.cache
def bank() -> Tensor:
    """The bodies and inner details of every class and variant: (classes, VARIANTS, 2, GRID, GRID), float32."""
    axis = torch.linspace(-EXTENT, EXTENT, GRID)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y], -1)
    fields = []
    for number, build in enumerate(SHAPES.values()):
        for variant in range(VARIANTS):
            unit = uniform(0, torch.tensor([number * VARIANTS + variant]), "shape", 4)[0]
            body, detail = build(points, (2 * unit - 1).tolist())
            fields.append(torch.stack([body, torch.maximum(detail, body)]))
    return torch.stack(fields).reshape(len(SHAPES), VARIANTS, 2, GRID, GRID)


def circle(points: Tensor, x: float, y: float, radius: float) -> Tensor:
    """Distance to a disc."""
    return _norm(points - torch.tensor([x, y])) - radius


def box(points: Tensor, x: float, y: float, half_width: float, half_height: float) -> Tensor:
    """Distance to an upright rectangle."""
    away = (points - torch.tensor([x, y])).abs() - torch.tensor([half_width, half_height])
    return _norm(away.clamp(min=0)) + away.amax(-1).clamp(max=0)


def line(points: Tensor, start: Point, end: Point, radius: float) -> Tensor:
    """Distance to a thick line with round ends."""
    a, b = torch.tensor(start), torch.tensor(end)
    along = (((points - a) @ (b - a)) / (b - a).square().sum()).clamp(0, 1)
    return _norm(points - a - along[..., None] * (b - a)) - radius


def polygon(points: Tensor, corners: Sequence[Point]) -> Tensor:
    """Distance to a simple polygon, corners in either order."""
    corner = torch.tensor(corners)
    previous = corner.roll(1, 0)
    edge = previous - corner
    w = points[..., None, :] - corner
    along = ((w * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    distance = _norm(w - along[..., None] * edge).amin(-1)
    y = points[..., 1, None]
    straddles = (corner[:, 1] > y) != (previous[:, 1] > y)
    rise = torch.where(edge[:, 1] == 0, 1.0, edge[:, 1])
    crosses = straddles & (points[..., 0, None] < corner[:, 0] + (y - corner[:, 1]) * edge[:, 0] / rise)
    inside = crosses.sum(-1) % 2 == 1
    return torch.where(inside, -distance, distance)


def union(*fields: Tensor) -> Tensor:
    """Everything inside any of the fields."""
    return torch.stack(fields).amin(0)


def cut(field: Tensor, hole: Tensor) -> Tensor:
    """`field` without `hole`."""
    return torch.maximum(field, -hole)


def spikes(count: int, inner: float, outer: float = 1.0) -> list[Point]:
    """Corners of a star with `count` points, the first pointing up."""
    radii = (outer, inner)
    angles = [math.pi * i / count for i in range(2 * count)]
    return [(radii[i % 2] * math.sin(a), -radii[i % 2] * math.cos(a)) for i, a in enumerate(angles)]


def _norm(vectors: Tensor) -> Tensor:
    norms: Tensor = vectors.norm(dim=-1)
    return norms


def _star(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    inner = 0.42 + 0.06 * j[0]
    return polygon(p, spikes(5, inner)), polygon(p, spikes(5, inner * 0.45, 0.45))


def _sun(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    rays = 9 + round(1.4 * j[0])
    body = union(polygon(p, spikes(rays, 0.5 + 0.05 * j[1])), circle(p, 0, 0, 0.55 + 0.05 * j[2]))
    return body, circle(p, 0, 0, 0.4 + 0.05 * j[2])


def _heart(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wide = 0.95 + 0.08 * j[0]
    corners = []
    for t in _turn(36):
        height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        corners.append((wide * math.sin(t) ** 3, -(height + 2.5) / 15.5))
    return polygon(p, corners), circle(p, -0.45 * wide, -0.42, 0.17 + 0.04 * j[1])


def _drop(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    radius = 0.58 + 0.06 * j[0]
    tip = polygon(p, [(0, -1.05), (radius * 0.93, 0.18), (-radius * 0.93, 0.18)])
    return union(circle(p, 0, 0.4, radius), tip), circle(p, -0.22, 0.45, 0.16 + 0.04 * j[1])


def _fish(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    tall = 0.46 + 0.08 * j[0]
    belly = [(0.2 + 0.78 * math.cos(a), tall * math.sin(a)) for a in _turn(24)]
    tail = polygon(p, [(-0.35, 0), (-1.0, -0.5 - 0.08 * j[1]), (-0.82, 0), (-1.0, 0.5 + 0.08 * j[1])])
    fin = polygon(p, [(0.3, -tall * 0.8), (-0.25, -tall - 0.3), (-0.2, -tall * 0.6)])
    eye = circle(p, 0.62, -0.1, 0.11)
    return union(polygon(p, belly), tail, fin), union(eye, line(p, (0.3, -0.2), (0.3, 0.22), 0.045))


def _rocket(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wide = 0.32 + 0.05 * j[0]
    side = [(wide * 0.7, -0.7), (wide, -0.2), (wide, 0.6)]
    hull = polygon(p, [(0, -1.1), *side, *((-x, y) for x, y in reversed(side))])
    left = polygon(p, [(-wide, 0.1), (-wide - 0.38, 0.85 + 0.1 * j[1]), (-wide, 0.6)])
    right = polygon(p, [(wide, 0.1), (wide + 0.38, 0.85 + 0.1 * j[1]), (wide, 0.6)])
    flame = polygon(p, [(-wide * 0.6, 0.6), (wide * 0.6, 0.6), (0, 1.1)])
    return union(hull, left, right, flame), union(circle(p, 0, -0.3, wide * 0.5), box(p, 0, 0.6, wide, 0.06))


def _house(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    eave = -0.15 + 0.1 * j[0]
    walls = box(p, 0, (eave + 0.9) / 2, 0.72, (0.9 - eave) / 2)
    roof = polygon(p, [(0, -1.0), (0.98, eave), (-0.98, eave)])
    chimney = box(p, 0.5, -0.68, 0.13, 0.3)
    door = box(p, -0.25 + 0.15 * j[1], 0.6, 0.17, 0.3)
    window = box(p, 0.35 + 0.08 * j[2], 0.35, 0.16, 0.16)
    return union(walls, roof, chimney), union(door, window)


def _castle(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wall = -0.2 + 0.1 * j[0]
    towers = union(box(p, -0.72, 0.1, 0.27, 0.8), box(p, 0.72, 0.1, 0.27, 0.8))
    keep = box(p, 0, (wall + 0.9) / 2, 0.75, (0.9 - wall) / 2)
    notches = union(*(box(p, x, -0.75, 0.08, 0.22) for x in (-0.72, 0.72)))
    battlement = union(*(box(p, x, wall - 0.08, 0.1, 0.14) for x in (-0.3, 0.02, 0.34)))
    gate = union(box(p, 0, 0.7, 0.2, 0.25), circle(p, 0, 0.45, 0.2))
    windows = union(box(p, -0.72, -0.1, 0.07, 0.15), box(p, 0.72, -0.1, 0.07, 0.15))
    return cut(union(towers, keep, battlement), notches), union(gate, windows)


def _tree(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    trunk = box(p, 0, 0.78, 0.13 + 0.03 * j[1], 0.28)
    if j[0] > 0:  # a fir
        layers = [
            polygon(p, [(0, t - 0.6), (w, t + 0.15), (-w, t + 0.15)])
            for t, w in ((-0.45, 0.42), (-0.02, 0.6), (0.42, 0.78))
        ]
        return union(trunk, *layers), trunk
    crown = union(circle(p, 0, -0.5, 0.52), circle(p, -0.38, -0.05, 0.46), circle(p, 0.38, -0.05, 0.46))
    return union(trunk, crown), trunk


def _mushroom(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wide = 0.95 + 0.07 * j[0]
    cap = polygon(p, [(wide * math.cos(a), 0.1 - (0.95 + 0.08 * j[1]) * math.sin(a)) for a in _half(20)])
    stem = polygon(p, [(-0.2, 0.0), (0.2, 0.0), (0.32 + 0.06 * j[2], 0.98), (-0.32 - 0.06 * j[2], 0.98)])
    spots = union(circle(p, -0.42, -0.25, 0.17), circle(p, 0.12, -0.52, 0.16), circle(p, 0.5, -0.16, 0.14))
    return union(cap, stem), spots


def _cup(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wide = 0.56 + 0.05 * j[0]
    tall = 0.68 + 0.08 * j[1]
    body = polygon(p, [(-wide - 0.2, -tall), (wide - 0.2, -tall), (wide - 0.28, tall), (-wide - 0.12, tall)])
    handle = cut(circle(p, wide - 0.15, 0, 0.45), circle(p, wide - 0.15, 0, 0.25))
    return union(body, handle), box(p, -0.2, -0.3 + 0.2 * j[2], wide, 0.1)


def _bottle(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    wide = 0.36 + 0.05 * j[0]
    shoulder = -0.2 + 0.1 * j[1]
    body = box(p, 0, (shoulder + 1.05) / 2, wide, (1.05 - shoulder) / 2)
    slope = [
        (-wide, shoulder + 0.02),
        (wide, shoulder + 0.02),
        (0.14, shoulder - 0.3),
        (-0.14, shoulder - 0.3),
    ]
    neck = box(p, 0, -0.75, 0.14, 0.35)
    bottle = union(body, polygon(p, slope), neck, box(p, 0, -1.0, 0.19, 0.09))
    return bottle, box(p, 0, 0.45, wide, 0.22 + 0.05 * j[2])


def _key(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    bow = circle(p, -0.62, 0, 0.42 + 0.04 * j[0])
    shaft = box(p, 0.3, 0, 0.75, 0.1)
    teeth = union(box(p, 0.92, 0.2, 0.1, 0.2), box(p, 0.6 + 0.06 * j[1], 0.17, 0.08, 0.16))
    hole = circle(p, -0.66, 0, 0.2 + 0.03 * j[0])
    return cut(union(bow, shaft, teeth), hole), cut(circle(p, -0.62, 0, 0.32), hole)


def _hammer(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    head = union(
        box(p, 0.12, -0.65, 0.55, 0.24 + 0.03 * j[0]),
        polygon(p, [(-0.4, -0.88), (-0.4, -0.42), (-0.95, -0.5 - 0.1 * j[1])]),
    )
    return union(head, box(p, 0.1, 0.25, 0.12, 0.85)), head


def _moon(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    body = cut(circle(p, 0, 0, 0.95), circle(p, 0.45 + 0.08 * j[0], -0.1, 0.74 + 0.05 * j[1]))
    return body, union(circle(p, -0.62, 0.1, 0.13), circle(p, -0.35, 0.62, 0.11))


def _cloud(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    puffs = union(
        circle(p, -0.55, 0.15, 0.38), circle(p, -0.12 + 0.08 * j[0], -0.2, 0.5),
        circle(p, 0.48, 0.0 + 0.06 * j[1], 0.42), circle(p, 0.78, 0.28, 0.26), box(p, 0.08, 0.36, 0.7, 0.18),
    )  # fmt: skip
    swirl = cut(circle(p, -0.1, -0.05, 0.3), circle(p, -0.05, 0.05, 0.3))
    return puffs, swirl


def _car(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    cabin_left, cabin_right = -0.52 + 0.1 * j[0], 0.38 + 0.1 * j[1]
    body = box(p, 0, 0.12, 1.0, 0.24)
    roof = [(cabin_left + 0.12, -0.56), (cabin_right - 0.12, -0.56)]
    cabin = polygon(p, [(cabin_left - 0.12, -0.1), *roof, (cabin_right + 0.2, -0.1)])
    wheels = union(circle(p, -0.56, 0.38, 0.25), circle(p, 0.56, 0.38, 0.25))
    middle = (cabin_left + cabin_right) / 2
    windows = union(box(p, middle - 0.2, -0.3, 0.15, 0.14), box(p, middle + 0.2, -0.3, 0.15, 0.14))
    hubs = union(circle(p, -0.56, 0.38, 0.13), circle(p, 0.56, 0.38, 0.13))
    return union(body, cabin, wheels), union(windows, hubs)


def _boat(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    hull = polygon(p, [(-0.95, 0.45), (0.95, 0.45), (0.6 + 0.08 * j[0], 0.9), (-0.6 - 0.08 * j[0], 0.9)])
    mast = box(p, 0, -0.25, 0.06, 0.8)
    sail = polygon(p, [(0.08, -0.98), (0.08, 0.28), (0.75 + 0.1 * j[1], 0.28)])
    jib = polygon(p, [(-0.08, -0.75), (-0.08, 0.28), (-0.55 - 0.1 * j[2], 0.28)])
    return union(hull, mast, sail, jib), box(p, 0, 0.56, 1.0, 0.06)


def _umbrella(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    dome = polygon(p, [(math.cos(a), 0.05 - (0.95 + 0.06 * j[0]) * math.sin(a)) for a in _half(20)])
    scallops = union(*(circle(p, x, 0.12, 0.22) for x in (-0.67, -0.22, 0.22, 0.67)))
    hook = cut(cut(circle(p, 0.2, 0.8, 0.26), circle(p, 0.2, 0.8, 0.13)), box(p, 0.2, 0.55, 0.4, 0.25))
    ribs = union(line(p, (0, -0.9), (-0.44, 0.05), 0.03), line(p, (0, -0.9), (0.44, 0.05), 0.03))
    return union(cut(dome, scallops), box(p, 0, 0.35, 0.065, 0.5), hook, box(p, 0, -0.98, 0.05, 0.12)), ribs


def _flower(p: Tensor, j: Jitter) -> tuple[Tensor, Tensor]:
    petals = 5 + (j[0] > 0)
    angles = [2 * math.pi * i / petals + 0.3 * j[1] for i in range(petals)]
    bloom = union(*(circle(p, 0.37 * math.sin(a), -0.42 - 0.37 * math.cos(a), 0.26) for a in angles))
    stem = box(p, 0, 0.55, 0.06, 0.5)
    leaf = cut(circle(p, 0.22, 0.62, 0.26), circle(p, 0.32, 0.4, 0.26))
    centre = circle(p, 0, -0.42, 0.2 + 0.03 * j[2])
    return union(bloom, centre, stem, leaf), centre


def _turn(count: int) -> list[float]:
    return [2 * math.pi * i / count for i in range(count)]


def _half(count: int) -> list[float]:
    return [math.pi * i / (count - 1) for i in range(count)]


SHAPES: dict[str, Callable[[Tensor, Jitter], tuple[Tensor, Tensor]]] = {
    "star": _star, "sun": _sun, "heart": _heart, "drop": _drop, "fish": _fish, "rocket": _rocket, "house": _house,
    "castle": _castle, "tree": _tree, "mushroom": _mushroom, "cup": _cup, "bottle": _bottle, "key": _key,
    "hammer": _hammer, "moon": _moon, "cloud": _cloud, "car": _car, "boat": _boat, "umbrella": _umbrella,
    "flower": _flower,
}  # fmt: skip
