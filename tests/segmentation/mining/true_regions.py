"""A proposer that knows the scenes of the world."""

import torch

from radapter import world
from radapter.segmentation import Proposals


class TrueRegions:
    """The objects of scenes and their background, found by the image's content."""

    def __init__(self, split: world.WorldSplit) -> None:
        self._masks = {
            pixels.permute(1, 2, 0).contiguous().numpy().tobytes(): masks
            for pixels, masks in zip(split.images, split.masks, strict=True)
        }

    def __call__(self, image) -> Proposals:
        labels = self._masks[image.tobytes()]
        masks = torch.stack([labels == value for value in labels.unique()]).half()
        return Proposals(masks, torch.ones(len(masks)))
