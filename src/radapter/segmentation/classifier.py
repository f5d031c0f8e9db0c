"""Class scores of regions: the crops of all regions of all images through one CLIP, against class embeddings.

c_q = softmax_c( logit_scale cos(f(crop_q), g(class_c)) )
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.models import DualEncoder
from radapter.segmentation.class_names import Synonyms, class_head
from radapter.segmentation.crops import PLAIN, CropStyle, RegionCrops, region_crops
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.zeroshot import device_of, evaluating


class RegionScores(NamedTuple):
    """Scores of the Q regions of one image.

    scores: (Q, C), float32, rows sum to 1; 0 if a region is not valid. valid: (Q,), bool, whether it has a pixel.
    """

    scores: Tensor
    valid: Tensor


@final
class RegionClassifier:
    """Classifies regions with an encoder as it is now: adapted, merged or neither.

    Args:
        encoder: Encodes images and texts, on its device.
        classnames: C entries, each a name or synonyms separated by commas.
        templates: Each with one "{}".
        synonyms: "mean" or "max", see `class_head`.
        prompts: Learned tokens for the background; None leaves the fill colour there.
        style: How regions are cut out.
        batch_size: Crops in one pass of the tower.

    Raises:
        DataError: There is no class, two are alike, or a name is empty.
        ModelError: The model has an image tower only.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        classnames: Sequence[str],
        templates: Sequence[str],
        *,
        synonyms: Synonyms = "mean",
        prompts: MaskPrompts | None = None,
        style: CropStyle = PLAIN,
        batch_size: int = 64,
    ) -> None:
        self.classnames = tuple(classnames)
        self._encoder = encoder
        self._head = class_head(encoder, classnames, templates, synonyms=synonyms)
        self._prompts = prompts
        self._style = style
        self._batch_size = batch_size

    def crops(self, image: Tensor, masks: Tensor) -> RegionCrops:
        """The regions as the tower takes them; arguments as `region_crops`."""
        return region_crops(
            image,
            masks,
            size=self._encoder.image_size,
            mean=self._encoder.image_mean,
            std=self._encoder.image_std,
            style=self._style,
        )

    def scores(self, crops: Sequence[RegionCrops]) -> list[RegionScores]:
        """Class scores of the regions of several images, which share the passes of the tower."""
        rows = [region.valid.nonzero()[:, 0] for region in crops]
        kept = [(region, chosen) for region, chosen in zip(crops, rows, strict=True) if len(chosen)]
        results = [
            RegionScores(torch.zeros(len(region.valid), len(self.classnames)), region.valid)
            for region in crops
        ]
        if not kept:
            return results
        pixels = torch.cat([region.pixels[chosen] for region, chosen in kept])
        masks = torch.cat([region.masks[chosen] for region, chosen in kept])
        found = iter(self._probabilities(pixels, masks))
        for result, chosen in zip(results, rows, strict=True):
            for row in chosen.tolist():
                result.scores[row] = next(found)
        return results

    def __call__(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> list[RegionScores]:
        """Crops and scores the regions of several images.

        Args:
            images: Each (3, H, W), uint8 or floating point in [0, 1].
            masks: For each image its regions, (Q, H, W).
        """
        return self.scores([self.crops(image, regions) for image, regions in zip(images, masks, strict=True)])

    @torch.no_grad()
    def _probabilities(self, pixels: Tensor, masks: Tensor) -> Tensor:
        device = device_of(self._encoder)
        parts = []
        with evaluating(self._encoder):
            for start in range(0, len(pixels), self._batch_size):
                part = pixels[start : start + self._batch_size].to(device)
                shown = masks[start : start + self._batch_size].to(device)
                if self._prompts is None:
                    features = self._encoder.encode_image(part)
                else:
                    features = self._prompts.encode_image(self._encoder, part, shown)
                cosines = self._head.cosines(F.normalize(features.float(), dim=-1).to(self._head.embeddings))
                parts.append((self._encoder.logit_scale.float() * cosines).softmax(-1).float().cpu())
        return torch.cat(parts)
