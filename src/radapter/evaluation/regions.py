"""Segmentation measure: each region of masked images is classified, and each pixel gets the class of its regions.

Two further figures separate the classifier's errors from the proposer's: mIoU of the true regions under the
classifier (`true_masks_miou`), and mIoU of the proposals under a perfect classifier, which gives each class the
share of the region's pixels that has it (`true_classes_miou`).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from radapter.evaluation.classification import class_logits
from radapter.evaluation.jackknife import miou_pseudo_values, standard_error
from radapter.evaluation.measure import Measured
from radapter.evaluation.metrics import Metrics, harmonic_mean
from radapter.evaluation.miou import class_iou, confusion_matrix, marginals, mean_iou, segmentation_metrics
from radapter.models import DualEncoder
from radapter.segmentation.region_loader import RegionBatch, SeenImage
from radapter.zeroshot import LinearHead


@final
@dataclass(frozen=True, eq=False)
class SegmentationMeasure:
    """The regions of masked images under a zero-shot head; `sweep` evaluates it.

    Attributes:
        encoder: Encodes the regions.
        prepare: Returns the head at the current weights.
        batches: The set.
        classnames: C names.
        unseen: (C,), bool, the classes that training left out; None if it left out none.
    """

    encoder: DualEncoder
    prepare: Callable[[], LinearHead]
    batches: Iterable[RegionBatch]
    classnames: Sequence[str]
    unseen: Tensor | None = None

    def count(self, batch: RegionBatch) -> int:
        """The number of whole images, not of regions."""
        return len(batch.images)

    def truth(self, batch: RegionBatch) -> tuple[SeenImage, ...]:
        """The images' cells and true regions."""
        return batch.images

    def observe(self, prepared: LinearHead, batch: RegionBatch) -> Tensor:
        """The class of every cell and of every true region, image by image, int64, on the CPU."""
        scores = class_logits(self.encoder, prepared, batch.pixels).softmax(1).cpu()
        scores = scores * batch.valid[:, None]  # a region without a pixel says nothing
        return torch.cat(
            [
                part
                for image, proposed, true in batch.of_images()
                for part in (image.cells.named(scores[proposed]), scores[true].argmax(1))
            ]
        )

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Does nothing: zero-shot predictions are not needed again."""

    def summarise(
        self, prepared: LinearHead, observed: Sequence[Tensor], truths: Sequence[tuple[SeenImage, ...]]
    ) -> Measured:
        """The figures of the whole set.

        Returns:
            As `segmentation_metrics`, and miou_se, the jackknife's standard error of miou over images;
            true_masks_miou and true_classes_miou; region_top1, the share of true regions that are named rightly;
            miou_unseen if training left out classes that the set shows, and miou_seen and miou_harmonic if it shows
            others too; "iou/NAME" of each class that the set shows; n, images; regions, proposals. Pseudo-values are
            those of miou.
        """
        images = [image for batch in truths for image in batch]
        sizes = [size for image in images for size in (len(image.cells.classes), len(image.true.classes))]
        named = torch.split(torch.cat(list(observed)), sizes)
        cells = [
            _Named(i.cells.classes, of, i.cells.pixels) for i, of in zip(images, named[::2], strict=True)
        ]
        true = [_Named(i.true.classes, of, i.true.pixels) for i, of in zip(images, named[1::2], strict=True)]
        ideal = [_Named(i.cells.classes, i.cells.named(i.shares), i.cells.pixels) for i in images]
        count = len(self.classnames)
        confusion, by_class = torch.zeros(count, count + 1, dtype=torch.int64), []
        for each in cells:
            of_image = each.confusion(count)
            confusion += of_image
            by_class.append(torch.stack(marginals(of_image)))
        pseudo_values = miou_pseudo_values(*torch.stack(by_class, 1))
        metrics = {
            **segmentation_metrics(confusion),
            "miou_se": standard_error(pseudo_values),
            "true_masks_miou": mean_iou(_confusion(true, count)),
            "true_classes_miou": mean_iou(_confusion(ideal, count)),
            "region_top1": _share_right(true),
            **self._by_class(class_iou(confusion)),
            "n": len(images),
            "regions": sum(image.cells.shares.shape[1] for image in images),
        }
        return Measured(metrics, pseudo_values.float())

    def _by_class(self, iou: Tensor) -> Metrics:
        found = {
            f"iou/{name}": each
            for name, each in zip(self.classnames, iou.tolist(), strict=True)
            if not math.isnan(each)
        }
        if self.unseen is None or iou[self.unseen].isnan().all():
            return found
        unseen, seen = (float(iou[chosen].nanmean()) for chosen in (self.unseen, ~self.unseen))
        found["miou_unseen"] = unseen
        return (
            found
            if math.isnan(seen)
            else found | {"miou_seen": seen, "miou_harmonic": harmonic_mean(seen, unseen)}
        )


class _Named(NamedTuple):
    """Groups of pixels: their true class, the class they are given (C: none), how many each holds; (K,), int64."""

    truth: Tensor
    named: Tensor
    pixels: Tensor

    def confusion(self, classes: int) -> Tensor:
        return confusion_matrix(self.named, self.truth, classes, ignore=classes, pixels=self.pixels)


def _confusion(images: Sequence[_Named], classes: int) -> Tensor:
    total = torch.zeros(classes, classes + 1, dtype=torch.int64)
    for image in images:
        total += image.confusion(classes)
    return total


def _share_right(images: Sequence[_Named]) -> float:
    hits = torch.cat([image.truth == image.named for image in images])
    return float(hits.double().mean())
