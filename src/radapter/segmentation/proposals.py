"""Class-agnostic regions of an image: the output of a proposer and the input of the region classifier."""

from dataclasses import dataclass
from typing import Protocol

from PIL.Image import Image
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Proposals:
    """Regions of one image of H x W pixels; Q may be 0.

    masks: (Q, H, W), floating point in [0, 1], half precision where memory counts. objectness: (Q,), in [0, 1].
    class_scores: (Q, C), the proposer's own class probabilities, or None.
    """

    masks: Tensor
    objectness: Tensor
    class_scores: Tensor | None = None

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or not self.masks.is_floating_point():
            given = f"{tuple(self.masks.shape)} of {self.masks.dtype}"
            raise ValueError(f"masks must be (Q, H, W) in floating point. Got {given}.")
        regions = len(self.masks)
        if self.objectness.shape != (regions,):
            raise ValueError(
                f"objectness must be ({regions},), as masks. Got {tuple(self.objectness.shape)}."
            )
        if self.class_scores is not None and (
            self.class_scores.ndim != 2 or len(self.class_scores) != regions
        ):
            raise ValueError(
                f"class_scores must be ({regions}, C), as masks. Got {tuple(self.class_scores.shape)}."
            )

    def __len__(self) -> int:
        return len(self.masks)


class MaskProposer(Protocol):
    """Finds regions, whatever they show."""

    def __call__(self, image: Image) -> Proposals:
        """Regions of an RGB image, at its own size."""
