"""Which region of an image shows which noun of its captions, and how clearly.

With c the cosines of regions and nouns, noun k takes the region q* = argmax_q c_qk. Its

    score   is c_q*k,
    margin  is c_q*k - max( max_{j apart from k} c_q*j , max_{q: IoU(q, q*) < 1/2} c_qk ),

its lead over another noun on the same region and over another region with the same noun. Nouns are apart if one
caption names both: two captions may call one thing a man and a person. Regions that overlap q* by half or more are
the same thing cut slightly differently, and no rivals.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from radapter.errors import ModelError
from radapter.models import DualEncoder
from radapter.segmentation.crops import THRESHOLD, CropStyle, crop_for, pixels_of
from radapter.segmentation.mining.captions import ImageNouns, prompt
from radapter.segmentation.proposals import MaskProposer, mask_iou
from radapter.zeroshot import class_embeddings, device_of, evaluating

TEMPLATE = "a photo of a {}."
RIVAL = 0.5
"""Intersection over union below which two regions show different things."""
MIN_AREA = 0.05
"""Share of the image that a region must have: small ones are fragments more often than things."""
EXPAND = 1.25
"""Factor on the sides of the square around a region."""


class Match(NamedTuple):
    """A noun and its region."""

    noun: int  # column of the cosines
    region: int  # row
    score: float  # cosine
    margin: float  # lead over the second; infinite if there is none


class Found(NamedTuple):
    """A region that shows a noun."""

    mask: Tensor  # (H, W), bool
    match: Match  # its noun is the place among the image's nouns


class Floors(NamedTuple):
    """Minimum score and margin of a match that is kept."""

    score: float
    margin: float

    def admit(self, match: Match) -> bool:
        """Whether a match reaches both; a tie is no lead, unless the margin is negative."""
        leads = match.margin > 0 or self.margin < 0
        return leads and match.score >= self.score and match.margin >= self.margin


@final
class RegionMatcher:
    """Finds for each noun the region of an image that is nearest to it.

    Args:
        encoder: Encodes images and texts, on its device; raises ModelError if it has no text tower.
        proposer: Finds regions.
        nouns: The vocabulary; each is encoded once, now.
        template: Has one "{}", where the noun goes.
        min_area: Smaller regions are ignored, share of the image.
        expand: Factor on the sides of boxes, see `CropStyle`.
        square: Whether boxes are squares.
        batch_size: Regions in one pass of the tower. A pass holds regions of one image only, so that its result does
            not depend on other images.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        proposer: MaskProposer,
        nouns: Sequence[str],
        *,
        template: str = TEMPLATE,
        min_area: float = MIN_AREA,
        expand: float = EXPAND,
        square: bool = True,
        batch_size: int = 64,
    ) -> None:
        if not encoder.text_tower():
            raise ModelError(f"mining needs a text tower. '{encoder.name}' has none. Use another model.")
        self._encoder = encoder
        self._proposer = proposer
        self._min_area = min_area
        self._crop = crop_for(encoder, CropStyle(expand=expand, square=square))
        self._batch_size = batch_size
        prompts = [prompt(noun, template) for noun in nouns]
        self._nouns = class_embeddings(encoder, prompts, ["{}"]).float().cpu()

    def __call__(self, image: Image, named: ImageNouns) -> list[Found]:
        """The best region of each noun of an RGB image, K in the order of the nouns; none if no region is large
        enough."""
        masks = self._proposer(image).masks > THRESHOLD
        masks = masks[masks.flatten(1).float().mean(1) >= max(self._min_area, 1 / image.width / image.height)]
        if not len(masks):
            return []
        cosines = self._features(image, masks) @ self._nouns[list(named.ids)].T
        matches = best_regions(cosines, named.apart, mask_iou(masks))
        return [Found(masks[match.region], match) for match in matches]

    @torch.no_grad()
    def _features(self, image: Image, masks: Tensor) -> Tensor:
        tower, device = self._encoder, device_of(self._encoder)
        batches = torch.split(self._crop(pixels_of(image), masks).pixels, self._batch_size)
        with evaluating(tower):
            parts = [tower.encode_image(batch.to(device)) for batch in batches]
        return F.normalize(torch.cat(parts).float(), dim=-1).cpu()


def best_regions(cosines: Tensor, apart: Tensor, overlaps: Tensor) -> list[Match]:
    """The best region of each noun, K matches; the first if cosines are equal; none if there is no region.

    Args:
        cosines: (Q, K), of Q regions and the K nouns of an image.
        apart: (K, K), bool, which nouns name different things.
        overlaps: (Q, Q), intersection over union.
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
    """Floors that the better half of matches reaches, by score and by margin each, cut to four decimals: cosines of
    different models are not comparable."""
    return Floors(_middle([m.score for m in matches]), _middle([m.margin for m in matches]))


def _middle(values: Sequence[float]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return math.floor(finite[len(finite) // 2] * 10**4) / 10**4 if finite else -2.0
