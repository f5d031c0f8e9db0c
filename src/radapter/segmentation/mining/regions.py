"""From an image and the nouns of its captions to the regions that show them."""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from radapter.errors import ModelError
from radapter.models import DualEncoder
from radapter.segmentation.crops import THRESHOLD, CropStyle, pixels_of, region_crops
from radapter.segmentation.mining.captions import ImageNouns, prompt
from radapter.segmentation.mining.matching import Match, best_regions
from radapter.segmentation.proposals import MaskProposer, mask_iou
from radapter.zeroshot import class_embeddings, device_of, evaluating

TEMPLATE = "a photo of a {}."
MIN_AREA = 0.05
"""Share of the image that a region must have: small ones are fragments more often than things."""
EXPAND = 1.25
"""How far the square around a region reaches beyond it when it is looked at."""


class Found(NamedTuple):
    """A region that shows a noun.

    mask: (H, W), bool. match: its noun is the place among the image's nouns.
    """

    mask: Tensor
    match: Match


@final
class RegionMatcher:
    """Finds for each noun the region of an image that is nearest to it.

    Args:
        encoder: Encodes images and texts, on its device.
        proposer: Finds regions.
        nouns: The vocabulary; each is encoded once, now.
        template: Has one "{}", where the noun goes.
        min_area: Smaller regions are ignored, share of the image.
        expand: Factor on the sides of boxes, see `CropStyle`; so is the next.
        square: Whether boxes are squares.
        batch_size: Regions in one pass of the tower. A pass holds regions of one image only, so that its result does
            not depend on other images.

    Raises:
        ModelError: The model has no text tower.
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
            raise ModelError(
                f"mining needs a model with a text tower. '{encoder.name}' has none. Use another."
            )
        self._encoder = encoder
        self._proposer = proposer
        self._min_area = min_area
        self._style = CropStyle(expand=expand, square=square)
        self._batch_size = batch_size
        self._nouns = (
            class_embeddings(encoder, [prompt(noun, template) for noun in nouns], ["{}"]).float().cpu()
        )

    def __call__(self, image: Image, named: ImageNouns) -> list[Found]:
        """The best region of each noun of an RGB image, K in the order of the nouns; none if no region is large
        enough.
        """
        masks = self._proposer(image).masks > THRESHOLD
        masks = masks[masks.flatten(1).float().mean(1) >= max(self._min_area, 1 / image.width / image.height)]
        if not len(masks):
            return []
        cosines = self._features(image, masks) @ self._nouns[list(named.ids)].T
        return [
            Found(masks[match.region], match) for match in best_regions(cosines, named.apart, mask_iou(masks))
        ]

    @torch.no_grad()
    def _features(self, image: Image, masks: Tensor) -> Tensor:
        tower, device = self._encoder, device_of(self._encoder)
        crops = region_crops(
            pixels_of(image),
            masks,
            size=tower.image_size,
            mean=tower.image_mean,
            std=tower.image_std,
            style=self._style,
        )
        with evaluating(tower):
            parts = [
                tower.encode_image(part.to(device)) for part in torch.split(crops.pixels, self._batch_size)
            ]
        return F.normalize(torch.cat(parts).float(), dim=-1).cpu()
