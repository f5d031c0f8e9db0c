"""Which region shows which noun, and how clearly.

With c the cosines of regions and nouns, noun k takes the region q* = argmax_q c_qk. Its

    score   is c_q*k,
    margin  is c_q*k - max( max_{j apart from k} c_q*j , max_{q: IoU(q, q*) < 1/2} c_qk ),

its lead over another noun on the same region and over another region with the same noun. Nouns are apart if one
caption names both: two captions may call one thing a man and a person. Regions that overlap q* by half or more are
the same thing cut slightly differently, and no rivals.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RIVAL = 0.5
"""Intersection over union below which two regions show different things."""


class Match(NamedTuple):
    """A noun and its region.

    noun: column of the cosines. region: row. score: cosine. margin: lead over the second; infinite if there is none.
    """

    noun: int
    region: int
    score: float
    margin: float


class Floors(NamedTuple):
    """Minimum score and margin of a match that is kept."""

    score: float
    margin: float

    def admit(self, match: Match) -> bool:
        """Whether a match reaches both; a tie is no lead, unless the margin is negative."""
        leads = match.margin > 0 or self.margin < 0
        return leads and match.score >= self.score and match.margin >= self.margin


def best_regions(cosines: Tensor, apart: Tensor, overlaps: Tensor) -> list[Match]:
    """The best region of each noun; the first if cosines are equal.

    Args:
        cosines: (Q, K), of Q regions and the K nouns of an image.
        apart: (K, K), bool, which nouns name different things.
        overlaps: (Q, Q), intersection over union.

    Returns:
        K matches, in the order of the nouns; none if there is no region.
    """
    if not len(cosines):
        return []
    matches = []
    for noun, region in enumerate(cosines.argmax(0).tolist()):
        score = cosines[region, noun]
        rivals = torch.cat([cosines[region, apart[noun]], cosines[overlaps[region] < RIVAL, noun]])
        margin = float(score - rivals.max()) if len(rivals) else math.inf
        matches.append(Match(noun, region, float(score), margin))
    return matches


def middle_floors(matches: Sequence[Match]) -> Floors:
    """Floors that the better half of matches reaches, by score and by margin each; cut to four decimals.

    Cosines of different models are not comparable, so the floors are relative to the model's own matches.
    """
    return Floors(_middle([m.score for m in matches]), _middle([m.margin for m in matches]))


def _middle(values: Sequence[float]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return math.floor(finite[len(finite) // 2] * 10**4) / 10**4 if finite else -2.0
