"""Which region shows which noun, by loops over what the docstring of matching.py says."""

import math


def best_regions(cosines, apart, overlaps):
    """(region, score, margin) of each noun; lists of lists in, a list out."""
    found = []
    for noun in range(len(apart)):
        best = None
        for region in range(len(cosines)):
            if best is None or cosines[region][noun] > cosines[best][noun]:
                best = region
        if best is None:
            continue
        second = -math.inf
        for other in range(len(apart)):
            if apart[noun][other]:
                second = max(second, cosines[best][other])
        for region in range(len(cosines)):
            if overlaps[best][region] < 0.5:
                second = max(second, cosines[region][noun])
        found.append((best, cosines[best][noun], cosines[best][noun] - second))
    return found
