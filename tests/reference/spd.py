"""One step of SPD after AdamW's, written out in float64 on a list of numbers."""

import math


def projected(
    start: list[float], before: list[float], after: list[float], gradient: list[float], strength: float
) -> list[float]:
    old = [p - s for p, s in zip(before, start, strict=True)]
    new = [p - s for p, s in zip(after, start, strict=True)]
    if sum(g * d for g, d in zip(gradient, old, strict=True)) <= 0:
        return after
    was, now = (math.sqrt(sum(d * d for d in moved)) for moved in (old, new))
    ratio = min(max((now - was) / now, 0.0), 1.0)
    return [p - strength * ratio * d for p, d in zip(after, new, strict=True)]
