"""Segmentation measure: each region of masked images is classified, and each pixel gets the class of its regions.

Two further metrics separate the errors of the classifier from those of the proposals: mIoU of the true regions under
the classifier (`true_masks_miou`), and mIoU of the proposals under a perfect classifier, which gives each class the
share of the region's pixels that has it (`true_classes_miou`).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from radapter.evaluation.classification import class_logits
from radapter.evaluation.jackknife import miou_pseudo_values, standard_error
from radapter.evaluation.metrics import Metrics, harmonic_mean
from radapter.evaluation.miou import class_iou, confusion_matrix, marginals, mean_iou, segmentation_metrics
from radapter.evaluation.sweep import Measured
from radapter.models import DualEncoder
from radapter.segmentation.cells import Cells
from radapter.segmentation.region_loader import RegionBatch, SeenImage, TrueRegions
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
        scores = scores * batch.valid[:, None]  # a region without a pixel has no score
        parts = (
            (image.cells.named(scores[proposed]), scores[true].argmax(1))
            for image, proposed, true in batch.of_images()
        )
        return torch.cat([part for pair in parts for part in pair])

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Does nothing: zero-shot predictions are not needed again."""

    def summarise(
        self, prepared: LinearHead, observed: Sequence[Tensor], truths: Sequence[tuple[SeenImage, ...]]
    ) -> Measured:
        """Returns the metrics of the whole set, and the pseudo-values of miou.

        Beside `segmentation_metrics`: miou_se, the jackknife's standard error of miou over images; true_masks_miou
        and true_classes_miou; region_top1, the share of true regions whose class is right; miou_unseen if training
        left out classes that the set shows, and miou_seen and miou_harmonic if it shows others too; "iou/NAME" of
        each class that the set shows; n, images; regions, proposals.
        """
        images = [image for batch in truths for image in batch]
        cells, true = [image.cells for image in images], [image.true for image in images]
        sizes = [len(groups.classes) for image in images for groups in (image.cells, image.true)]
        named = torch.split(torch.cat(list(observed)), sizes)
        of_cells, of_true = named[::2], named[1::2]
        classes = len(self.classnames)
        confusion = _confusion(of_cells, cells, classes)
        by_image = [
            torch.stack(marginals(_confusion([found], [groups], classes)))
            for found, groups in zip(of_cells, cells, strict=True)
        ]
        pseudo_values = miou_pseudo_values(*torch.stack(by_image, 1))
        ideal = [image.cells.named(image.shares) for image in images]
        is_right = torch.cat(of_true) == torch.cat([regions.classes for regions in true])
        metrics = {
            **segmentation_metrics(confusion),
            "miou_se": standard_error(pseudo_values),
            "true_masks_miou": mean_iou(_confusion(of_true, true, classes)),
            "true_classes_miou": mean_iou(_confusion(ideal, cells, classes)),
            "region_top1": float(is_right.double().mean()),
            **self._by_class(class_iou(confusion)),
            "n": len(images),
            "regions": sum(image.cells.shares.shape[1] for image in images),
        }
        return Measured(metrics, pseudo_values.float())

    def _by_class(self, iou: Tensor) -> Metrics:
        pairs = zip(self.classnames, iou.tolist(), strict=True)
        found = {f"iou/{name}": each for name, each in pairs if not math.isnan(each)}
        if self.unseen is None:
            return found
        unseen, seen = (float(iou[chosen].nanmean()) for chosen in (self.unseen, ~self.unseen))
        if math.isnan(unseen):
            return found
        found["miou_unseen"] = unseen
        if not math.isnan(seen):
            found |= {"miou_seen": seen, "miou_harmonic": harmonic_mean(seen, unseen)}
        return found


def _confusion(found: Sequence[Tensor], groups: Sequence[Cells | TrueRegions], classes: int) -> Tensor:
    """Counts the pixels of images: `found` has the class given to each group of pixels, `classes` for none."""
    truth, pixels = torch.cat([of.classes for of in groups]), torch.cat([of.pixels for of in groups])
    return confusion_matrix(torch.cat(list(found)), truth, classes, ignore=classes, pixels=pixels)
