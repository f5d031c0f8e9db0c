"""From images and their regions to label maps: crops, scores, ensemble, pixels."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL.Image import Image
from torch import Tensor

from radapter.errors import DataError
from radapter.segmentation.classifier import RegionClassifier
from radapter.segmentation.crops import pixels_of
from radapter.segmentation.ensembles import Ensemble, combine
from radapter.segmentation.pixels import label_map
from radapter.segmentation.proposals import Proposals


class Segmentation(NamedTuple):
    """One segmented image.

    labels: (H, W), int64, into the classes; NOTHING, -1, outside of regions. scores: (Q, C), the regions' scores
    after the ensemble. valid: (Q,), bool, whether a region has a pixel.
    """

    labels: Tensor
    scores: Tensor
    valid: Tensor


def segment(
    images: Sequence[Image],
    proposals: Sequence[Proposals],
    classifier: RegionClassifier,
    *,
    ensemble: Ensemble = "region",
    weight: float | tuple[float, float] | None = None,
    seen: Tensor | None = None,
) -> list[Segmentation]:
    """Segments images whose regions are known; they share the passes of the tower.

    Args:
        images: RGB.
        proposals: Of each image, at its size.
        classifier: Scores the regions.
        ensemble: Joins the proposer's scores with the classifier's; see `combine` for the next two.
        weight: The classifier's.
        seen: The classes that the proposer was trained on.

    Raises:
        DataError: Masks have another size than their image.
        ConfigError: The ensemble needs scores that the proposer lacks.
    """
    for image, regions in zip(images, proposals, strict=True):
        height, width = regions.masks.shape[1:]
        if image.size != (width, height):
            raise DataError(
                f"masks must have their image's size, {image.size[0]} x {image.size[1]}. They have "
                f"{width} x {height}. Give the masks of this image, at its own size."
            )
    found = classifier([pixels_of(image) for image in images], [regions.masks for regions in proposals])
    segmented = []
    for regions, (region_scores, valid) in zip(proposals, found, strict=True):
        scores = combine(regions.class_scores, region_scores, weight, ensemble, valid=valid, seen=seen)
        segmented.append(Segmentation(label_map(scores, regions.masks), scores, valid))
    return segmented
