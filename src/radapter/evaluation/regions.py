"""A set of masked images, measured by mIoU: each region is classified, each pixel gets the class of its regions.

Two figures stand beside it, which tell the classifier's errors from the proposer's: mIoU of the true regions under
the classifier (`true_masks_miou`), and of the proposals under the class that most of their pixels have
(`true_classes_miou`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from radapter.evaluation.classification import ImageEncoder, zero_shot_logits
from radapter.evaluation.jackknife import counts_by_class, miou_standard_error
from radapter.evaluation.metrics import Metrics, harmonic_mean
from radapter.evaluation.miou import class_iou, mean_iou
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
        return torch.cat(
            [
                part
                for image, proposed, true in batch.of_images()
                for part in (image.cells.named(scores[proposed]), scores[true].argmax(1))
            ]
        )

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Nothing of the zero-shot model is needed."""

    def metrics(
        self, prepared: Tensor, observed: Sequence[Tensor], truths: Sequence[tuple[SeenImage, ...]]
    ) -> Metrics:
        """The figures of the whole set, each from one confusion matrix.

        Returns:
            miou and miou_ovseg, in both conventions; miou_se, the jackknife's standard error of miou over images;
            true_masks_miou and true_classes_miou, the oracles'; region_top1, the share of true regions that are
            named rightly; mean_accuracy, pixel_accuracy, pixel_error; where training left classes out and the set
            shows some, miou_unseen, and with classes of both kinds miou_seen and miou_harmonic; "iou/NAME" of each
            class that the set shows; n, images, and regions, proposals.
        """
        images = [image for batch in truths for image in batch]
        sizes = [size for image in images for size in (len(image.cells.classes), len(image.true.classes))]
        named = torch.cat(list(observed)).split(sizes)
        cells = [_Named(i.cells.classes, found, i.cells.pixels) for i, found in zip(images, named[::2], strict=True)]
        true = [_Named(i.true.classes, found, i.true.pixels) for i, found in zip(images, named[1::2], strict=True)]
        best = [_Named(i.cells.classes, i.cells.named(i.best), i.cells.pixels) for i in images]
        count = len(self.classnames)
        confusion = _confusion(cells, count)
        by_image = torch.stack([counts_by_class(*each, count) for each in cells], 1)  # 3, N, C
        accuracy = float(confusion.diagonal().sum() / confusion.sum())
        return {
            "miou": mean_iou(confusion, convention="detectron2"),
            "miou_ovseg": mean_iou(confusion, convention="ovseg"),
            "miou_se": miou_standard_error(*by_image),
            "true_masks_miou": mean_iou(_confusion(true, count), convention="detectron2"),
            "true_classes_miou": mean_iou(_confusion(best, count), convention="detectron2"),
            "region_top1": _share_right(true),
            "pixel_accuracy": accuracy,
            "pixel_error": 1 - accuracy,
            **self._by_class(confusion),
            "n": len(images),
            "regions": sum(image.cells.shares.shape[1] for image in images),
        }

    def _by_class(self, confusion: Tensor) -> Metrics:
        iou, present = class_iou(confusion), confusion.sum(1) > 0
        found = {f"iou/{name}": float(iou[c]) for c, name in enumerate(self.classnames) if present[c]}
        if self.unseen is None or not (present & self.unseen).any():
            return found
        found["miou_unseen"] = float(iou[present & self.unseen].mean())
        if (present & ~self.unseen).any():
            found["miou_seen"] = float(iou[present & ~self.unseen].mean())
            found["miou_harmonic"] = harmonic_mean(found["miou_seen"], found["miou_unseen"])
        return found


class _Named(NamedTuple):
    """Groups of pixels: their true class, the class they are given, how many each holds; all (K,), int64."""

    truth: Tensor
    named: Tensor
    pixels: Tensor


def _confusion(images: Sequence[_Named], classes: int) -> Tensor:
    """(C, C), int64, rows the truth."""
    total = torch.zeros(classes * classes, dtype=torch.int64)
    for image in images:
        total.index_add_(0, image.truth * classes + image.named, image.pixels)
    return total.view(classes, classes)


def _share_right(images: Sequence[_Named]) -> float:
    hits = torch.cat([image.truth == image.named for image in images])
    return float(hits.double().mean())
