"""An encoder that receives the mask of a crop's region and shows learned tokens in place of the other pixels.

Pixels have a fourth channel, 1 on the region, else 0. Prompted regions can therefore use the loaders, learners and
measures of plain ones.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from radapter.models import DualEncoder
from radapter.segmentation.crops import RegionCrops
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.segmentation.training_regions import on_colour


@final
class PromptedEncoder(DualEncoder):
    """An encoder with mask prompts; the encoder itself never trains, and its adapters never drop.

    Args:
        encoder: Shared, not copied.
        prompts: Made for its image tower.
    """

    def __init__(self, encoder: DualEncoder, prompts: MaskPrompts) -> None:
        super().__init__(encoder.name, encoder.module, encoder.towers)
        self.prompts = prompts
        self._shown = True

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of the prompts only."""
        super().train(mode)
        self.module.eval()
        return self

    def image_tower(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """The parts of the image tower, and the prompts, which are the part that trains."""
        return (*super().image_tower(), self.prompts)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(B, 4, S, S), the region in the fourth channel, to (B, E), not normalised."""
        if not self._shown:
            return super().encode_image(pixels[:, :3])
        with self.prompts.replacing(self, pixels[:, 3] > 0.5):
            return super().encode_image(pixels[:, :3])

    @contextmanager
    def at(self, alpha: float) -> Iterator[None]:
        """A block in which the encoder is the original one, at alpha 0, or has its prompts, at alpha above 0."""
        self._shown = alpha > 0
        try:
            yield
        finally:
            self._shown = True

    def preprocess(self, image: Image.Image) -> Tensor:
        """Converts an RGBA region, its alpha the mask, to (4, S, S), float32."""
        mask = image.getchannel("A").resize((self.image_size,) * 2, Image.Resampling.NEAREST)
        shown = torch.from_numpy(np.asarray(mask) > 127)
        return torch.cat([super().preprocess(on_colour(image, self.image_mean)), shown[None].float()])


def with_masks(crop: Callable[[Tensor, Tensor], RegionCrops]) -> Callable[[Tensor, Tensor], RegionCrops]:
    """Appends the mask to crops as a fourth channel, (Q, 4, S, S), for a `PromptedEncoder`."""

    def crop_with_masks(image: Tensor, masks: Tensor) -> RegionCrops:
        crops = crop(image, masks)
        return crops._replace(pixels=torch.cat([crops.pixels, crops.masks[:, None].to(crops.pixels)], 1))

    return crop_with_masks
