"""A set of masked images, measured by mIoU: each region is classified, each pixel gets the class of its regions.

Two figures stand beside it, which tell the classifier's errors from the proposer's: mIoU of the true regions under
the classifier (`true_masks_miou`), and of the proposals under the class that most of their pixels have
(`true_classes_miou`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from radapter.evaluation.classification import ImageEncoder, zero_shot_logits
from radapter.evaluation.metrics import Metrics, harmonic_mean
from radapter.evaluation.segmentation import iou_of_classes, mean_iou
from radapter.segmentation.region_loader import RegionBatch, SeenImage


@final
@dataclass(frozen=True, eq=False)
class SegmentationMeasure:
    """The regions of masked images under a zero-shot head: what `sweep` evaluates.

    Attributes:
        encoder: of the regions.
        prepare: the head (C, E) at the present weights.
        batches: the set.
        classnames: C names.
        unseen: (C,), bool, the classes that training left out; None where it left out none.
    """

    encoder: ImageEncoder
    prepare: Callable[[], Tensor]
    batches: Iterable[RegionBatch]
    classnames: Sequence[str]
    unseen: Tensor | None = None

    def truth(self, batch: RegionBatch) -> tuple[SeenImage, ...]:
        """What is known of the images."""
        return batch.images

    def observe(self, prepared: Tensor, batch: RegionBatch) -> Tensor:
        """The class of every cell and of every true region, image by image, int64, on the CPU."""
        scores = zero_shot_logits(self.encoder, prepared, batch.pixels).softmax(1).cpu()
        scores = scores * batch.valid[:, None]  # a region without a pixel says nothing
        named = [
            part
            for image, proposed, true in batch.of_images()
            for part in (image.cells.named(scores[proposed]), scores[true].argmax(1))
        ]
        return torch.cat(named)

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Nothing of the zero-shot model is needed."""

    def metrics(
        self, prepared: Tensor, observed: Sequence[Tensor], truths: Sequence[tuple[SeenImage, ...]]
    ) -> Metrics:
        """mIoU in both conventions and its standard error, the oracles', and others; see the file's docstring.

        Each class that occurs also has its IoU, as "iou/NAME".
        """
        images = [image for batch in truths for image in batch]
        named = torch.cat(list(observed)).split(
            [size for image in images for size in (len(image.cells.classes), len(image.true.classes))]
        )
        count = len(self.classnames)
        by_image, true_masks, true_classes = [], [], []
        for image, cells, regions in zip(images, named[::2], named[1::2], strict=True):
            by_image.append(_confusion(image.cells.classes, cells, image.cells.pixels, count))
            true_masks.append(_confusion(image.true.classes, regions, image.true.pixels, count))
            best = image.cells.named(image.best)
            true_classes.append(_confusion(image.cells.classes, best, image.cells.pixels, count))
        ...
