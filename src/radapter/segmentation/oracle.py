"""Ground-truth regions in place of proposals: what is then wrong is the classifier's fault."""

from collections.abc import Collection
from typing import final

import torch
from PIL.Image import Image
from torch import Tensor

from radapter.errors import DataError
from radapter.segmentation.proposals import Proposals


@final
class OracleProposer:
    """Gives the masks it was made with, for the one image that they belong to.

    Args:
        masks: (Q, H, W), bool or floating point in [0, 1].
        class_scores: (Q, C), such as the rows of the ground truth; None where the classes are to be found.
    """

    def __init__(self, masks: Tensor, *, class_scores: Tensor | None = None) -> None:
        self._proposals = Proposals(masks.half(), torch.ones(len(masks)), class_scores)

    def __call__(self, image: Image) -> Proposals:
        """The masks.

        Raises:
            DataError: the image has another size than the masks.
        """
        height, width = self._proposals.masks.shape[1:]
        if image.size != (width, height):
            raise DataError(
                f"masks must have their image's size, {image.size[0]} x {image.size[1]}. They have "
                f"{width} x {height}. Give the masks of this image, at its own size."
            )
        return self._proposals


def label_regions(labels: Tensor, *, ignored: Collection[int] = ()) -> tuple[Tensor, Tensor]:
    """One region for each value of a label map.

    Args:
        labels: (H, W), int.
        ignored: values that give no region.

    Returns:
        Masks (Q, H, W), bool, and their values (Q,), ascending.
    """
    values: Tensor = torch.unique(labels)
    values = values[[value not in ignored for value in values.tolist()]]
    return labels[None] == values[:, None, None], values
