"""Signed distances to simple outlines, and how to combine them: negative inside, exact outside of combinations.

Every function takes points (..., 2), x to the right and y down, and gives distances (...).

Source: Inigo Quilez, "2D distance functions".
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Point = tuple[float, float]


def circle(points: Tensor, x: float, y: float, radius: float) -> Tensor:
    """Distance to a disc."""
    distance: Tensor = (points - torch.tensor([x, y])).norm(dim=-1) - radius
    return distance


def box(points: Tensor, x: float, y: float, half_width: float, half_height: float) -> Tensor:
    """Distance to an upright rectangle."""
    away = (points - torch.tensor([x, y])).abs() - torch.tensor([half_width, half_height])
    distance: Tensor = away.clamp(min=0).norm(dim=-1) + away.amax(-1).clamp(max=0)
    return distance


def line(points: Tensor, start: Point, end: Point, radius: float) -> Tensor:
    """Distance to a thick line with round ends."""
    a, b = torch.tensor(start), torch.tensor(end)
    along = (((points - a) @ (b - a)) / (b - a).square().sum()).clamp(0, 1)
    distance: Tensor = (points - a - along[..., None] * (b - a)).norm(dim=-1) - radius
    return distance


def polygon(points: Tensor, corners: Sequence[Point]) -> Tensor:
    """Distance to a simple polygon, corners in either order."""
    corner = torch.tensor(corners)
    previous = corner.roll(1, 0)
    edge = previous - corner
    w = points[..., None, :] - corner
    along = ((w * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    distance = (w - along[..., None] * edge).norm(dim=-1).amin(-1)
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
