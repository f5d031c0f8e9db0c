"""Two alpha curves compared: OOD accuracy at equal ID accuracy.

Each method's sweep is a path in the plane of (ID, OOD), straight between neighbouring alphas. What a method can give
at an ID accuracy of at least x is the highest point of its path there:

    F(x) = max { ood : (id, ood) on the path, id >= x }

Two methods at their chosen alphas are two points that may trade ID against OOD; F does not depend on the choice.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from radapter.errors import ConfigError

Path = Sequence[tuple[float, float]]
"""(ID, OOD) accuracies by ascending alpha."""

LEVELS = 51


def ood_at(path: Path, level: float) -> float | None:
    """F(level): the best OOD accuracy at an ID accuracy of at least `level`; None where it is not reached."""
    reached = [ood for id_, ood in path if id_ >= level]
    for (id_a, ood_a), (id_b, ood_b) in pairwise(path):
        if min(id_a, id_b) < level < max(id_a, id_b):
            reached.append(ood_a + (ood_b - ood_a) * (level - id_a) / (id_b - id_a))
    return max(reached, default=None)


def frontier_gap(path: Path, reference: Path) -> float | None:
    """The mean of F(x) - F_reference(x) over the upper half of the ID accuracies that both reach.

    The range begins half-way between the zero-shot model, where both paths begin, and the highest ID accuracy of
    the one that reaches less: where somebody who fine-tunes wants to be.

    Args:
        path: of a method.
        reference: of another, from the same zero-shot model.

    Returns:
        A fraction, positive where the method's frontier lies above; None where neither gains any ID.

    Raises:
        ConfigError: a path has no point.
    """
    if not path or not reference:
        raise ConfigError("a frontier needs at least one point. Got none. Sweep alpha first.")
    top = min(max(id_ for id_, _ in path), max(id_ for id_, _ in reference))
    start = path[0][0]
    if top <= start:
        return None
    low = (start + top) / 2
    gaps = []
    for number in range(LEVELS):
        level = low + (top - low) * number / (LEVELS - 1)
        above, below = ood_at(path, min(level, top)), ood_at(reference, min(level, top))
        assert above is not None
        assert below is not None
        gaps.append(above - below)
    return fmean(gaps)
