"""How a set of each task is measured: labelled images, images and captions, and the regions of masked images."""

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data import Batch
from radapter.evaluation.calibration import TEMPERATURE, fitted_temperature
from radapter.evaluation.cosines import TILE
from radapter.evaluation.features import encode_images
from radapter.evaluation.jackknife import miou_pseudo_values, rsum_pseudo_values, standard_error
from radapter.evaluation.metrics import (
    Metrics,
    classification_metrics,
    harmonic_mean,
    is_right,
    predicted,
    restricted,
)
from radapter.evaluation.miou import class_iou, confusion_matrix, marginals, mean_iou, segmentation_metrics
from radapter.evaluation.retrieval import (
    positive_pairs,
    retrieval_map_at_r,
    retrieval_metrics,
    retrieval_ranks_of_groups,
)
from radapter.evaluation.sweep import ALPHAS, Answers, Measured, Progress, sweep
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.segmentation.pixels import NOTHING, Cells
from radapter.segmentation.region_loader import RegionBatch, SeenImage, TrueRegions
from radapter.zeroshot import Head, LinearHead, device_of


def class_logits(encoder: DualEncoder, head: Head, pixels: Tensor) -> Tensor:
    """head(normalise(f(pixels))), (B, 3, H, W) -> (B, C), float32 or wider, in the encoder's mode."""
    embeddings = head.encode(encoder, pixels.to(device_of(encoder)))
    logits: Tensor = head(F.normalize(widen(embeddings), dim=-1))
    return logits


@final
@dataclass(frozen=True, eq=False)
class ClassificationMeasure:
    """Labelled images under a head, which `prepare` returns at the current weights; `sweep` evaluates it.

    `classes` are the columns of the head that the set can hold; see `restricted`. `zero_shot` holds the zero-shot
    model's predictions by set, written by `remember`, for the agreement with them; None disables it. With
    `calibrates`, the metrics have the temperature that fits the set.
    """

    encoder: DualEncoder
    prepare: Callable[[], Head]
    batches: Iterable[Batch]
    classes: Tensor | None = None
    name: str = "set"
    zero_shot: MutableMapping[str, Tensor] | None = None
    calibrates: bool = False

    def count(self, batch: Batch) -> int:
        """B."""
        return len(batch.labels)

    def truth(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        """Labels, groups and the images' numbers."""
        return batch.labels.cpu(), batch.groups, batch.indices.cpu()

    def observe(self, prepared: Head, batch: Batch) -> Tensor:
        """Logits, (B, C), on the CPU."""
        return class_logits(self.encoder, prepared, batch.pixels).cpu()

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Keeps the zero-shot predictions."""
        if self.zero_shot is not None:
            self.zero_shot[self.name] = predicted(torch.cat(list(observed)), self.classes)

    def summarise(
        self,
        prepared: Head,
        observed: Sequence[Tensor],
        truths: Sequence[tuple[Tensor, Tensor | None, Tensor]],
    ) -> Measured:
        """Returns `classification_metrics`; an image's pseudo-value is 1 if its label is predicted, else 0.

        Answers: `class` and `probability` of each image's prediction; `label` and `image`, its number in the set.
        """
        of_batch, groups, images = zip(*truths, strict=True)
        known = [each.cpu() for each in groups if each is not None]
        logits, labels = restricted(torch.cat(list(observed)), torch.cat(of_batch), self.classes)
        metrics = classification_metrics(
            logits,
            labels,
            groups=torch.cat(known) if len(known) == len(groups) else None,
            zero_shot=(self.zero_shot or {}).get(self.name),
        )
        if self.calibrates:
            metrics[TEMPERATURE] = fitted_temperature(logits, labels)
        probability, column = logits.softmax(1).max(1)
        names = torch.arange(logits.shape[1]) if self.classes is None else self.classes.cpu()
        names = names if names.ndim == 1 else names[:, 0]  # of several columns of a class, the first
        answers = Answers(
            {"class": names[column].int(), "probability": probability.float()},
            {"label": names[labels].int(), "image": torch.cat(images).int()},
        )
        return Measured(metrics, is_right(logits, labels).float(), answers)


def alpha_sweep(
    encoder: DualEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    head: Callable[[], LinearHead],
    sets: Mapping[str, Iterable[Batch]],
    alphas: Sequence[float] = ALPHAS,
    *,
    classes: Mapping[str, Tensor] | None = None,
    zero_shot: MutableMapping[str, Tensor] | None = None,
    progress: Progress | None = None,
) -> dict[float, dict[str, Metrics]]:
    """`sweep` of sets of labelled images under a head; other arguments, results and errors are those of `sweep`.

    Args:
        encoder: Encodes the images.
        at: As for `sweep`; `head` is called inside its block.
        head: Returns the head, called once per alpha: a trained head, or
            `lambda: LinearHead.zero_shot(class_embeddings(...), logit_scale)` for the text tower at that alpha.
        sets: Name -> batches, each iterable once.
        alphas: Each in [0, 1].
        classes: Name -> the columns of the head that this set can hold; see `restricted`.
        zero_shot: Name -> (N,), predictions of the zero-shot model, which alpha 0 writes; they give the agreement.
        progress: As for `sweep`.
    """
    measures = {
        name: ClassificationMeasure(encoder, head, batches, (classes or {}).get(name), name, zero_shot)
        for name, batches in sets.items()
    }
    return sweep(encoder, at, measures, alphas, progress=progress)


@final
@dataclass(frozen=True, eq=False)
class RetrievalMeasure:
    """Images and captions, each encoded once; `sweep` evaluates it.

    Attributes:
        encoder: Encodes the images.
        batches: The images in order. The captions of unreadable images are left out too.
        prepare: Returns the features of the M captions at the current weights, unit norm, (M, E), on the CPU. Sets
            with the same captions share the callable.
        image_of_caption: (M,), int, into the N images.
        groups: (N,), int. The captions of a group are right answers to each of its images.
        texts: (M,), int. Equal captions have equal numbers. Equal captions of one group are ranked once; otherwise
            the many copies of a class's name would fill the first ranks.
        targets: (N,), int. Groups that share a caption are one target, for mAP@R, which asks for all right answers.
    """

    encoder: DualEncoder
    batches: Iterable[Batch]
    prepare: Callable[[], Tensor]
    image_of_caption: Tensor
    groups: Tensor
    texts: Tensor
    targets: Tensor

    def count(self, batch: Batch) -> int:
        """B."""
        return len(batch.indices)

    def truth(self, batch: Batch) -> Tensor:
        """The images' numbers, (B,)."""
        return batch.indices

    def observe(self, prepared: Tensor, batch: Batch) -> Tensor:
        """Image features, unit norm, (B, E), on the CPU."""
        return encode_images(self.encoder, [batch.pixels])

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Does nothing: zero-shot features are not needed again."""

    def summarise(self, prepared: Tensor, observed: Sequence[Tensor], truths: Sequence[Tensor]) -> Measured:
        """Returns `retrieval_metrics`, rsum_se (its standard error over images), i2t_map_at_r and t2i_map_at_r.

        Pseudo-values are those of rsum / 6, one for each image, or for each group if images share captions. Answers:
        `text_rank` and `image_rank` of each text's image and each image's caption, `first_image` and `first_text`,
        which rank first; `image` and `text`, their numbers in the set, and `image_of_text`.
        """
        images = torch.cat(list(truths))
        place = torch.full((len(self.targets),), -1)
        place[images] = torch.arange(len(images))
        image_of_text = place[self.image_of_caption]
        shown = (image_of_text >= 0).nonzero()[:, 0]  # captions of images that could be read
        groups, targets = self.groups[images], self.targets[images]
        units = torch.unique(groups, return_inverse=True)[1]
        if int(units.max()) + 1 < len(units):
            # images share captions: each group's equal captions are one text
            texts = torch.stack((groups[image_of_text[shown]], self.texts[shown]), 1)
            first = np.unique(texts.numpy(), axis=0, return_index=True)[1]
            shown = shown[np.sort(first)]
        image_of_text = image_of_text[shown]
        image_features, text_features = torch.cat(list(observed)), prepared[shown]
        of_group = positive_pairs(groups, groups[image_of_text])
        ranks = retrieval_ranks_of_groups(image_features, text_features, of_group)
        of_target = positive_pairs(targets, targets[image_of_text])
        pseudo_values = rsum_pseudo_values(ranks, units, units[image_of_text])
        metrics = {
            **retrieval_metrics(ranks),
            "rsum_se": standard_error(pseudo_values),
            **retrieval_map_at_r(image_features, text_features, of_target),
        }
        first_image, first_text = (
            _nearest(text_features, image_features),
            _nearest(image_features, text_features),
        )
        answers = Answers(
            {
                "text_rank": ranks.text_to_image.cpu().int(),
                "image_rank": ranks.image_to_text.cpu().int(),
                "first_image": images[first_image].int(),
                "first_text": shown[first_text].int(),
            },
            {"image": images.int(), "text": shown.int(), "image_of_text": images[image_of_text].int()},
        )
        return Measured(metrics, (pseudo_values / 6).float(), answers)


@final
@dataclass(frozen=True, eq=False)
class SegmentationMeasure:
    """The regions of masked images under a zero-shot head; `sweep` evaluates it.

    Each region is classified, and each pixel gets the class of its regions. `true_masks_miou` is mIoU of the true
    regions under the classifier; `true_classes_miou` is mIoU of the proposals under a perfect classifier, which
    gives each class the share of the region's pixels that has it. `unseen`, (C,), bool, are the classes that
    training left out.
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

        Beside `segmentation_metrics`: miou_se, its standard error; true_masks_miou, true_classes_miou; region_top1,
        the share of true regions whose class is right; miou_unseen if training left out classes that the set shows,
        and miou_seen and miou_harmonic if it shows others too; "iou/NAME" of each class that the set shows; n.
        Answers, for each image with a small map: `NUMBER/labels`; `NUMBER/truth` and `NUMBER/oracle`, the label maps
        of the truth and of a perfect classifier.
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
        maps = [number for number, image in enumerate(images) if image.places is not None]
        answers = Answers(
            {f"{images[n].number}/labels": _drawn(of_cells[n], images[n], classes) for n in maps},
            {f"{images[n].number}/truth": _drawn(cells[n].classes, images[n], classes) for n in maps}
            | {f"{images[n].number}/oracle": _drawn(ideal[n], images[n], classes) for n in maps},
        )
        return Measured(metrics, pseudo_values.float(), answers)

    def _by_class(self, iou: Tensor) -> Metrics:
        found = {f"iou/{name}": each for name, each in zip(self.classnames, iou.tolist(), strict=True)}
        if self.unseen is not None:
            found["miou_unseen"], seen = (float(iou[of].nanmean()) for of in (self.unseen, ~self.unseen))
            if not math.isnan(found["miou_unseen"]):
                found |= {"miou_seen": seen, "miou_harmonic": harmonic_mean(seen, found["miou_unseen"])}
        return {name: value for name, value in found.items() if not math.isnan(value)}


def _drawn(of_cells: Tensor, image: SeenImage, classes: int) -> Tensor:
    """A small label map, (h, w), int16, from the classes of an image's cells; NOTHING where there is none."""
    assert image.places is not None
    named = torch.cat([torch.where(of_cells < classes, of_cells, NOTHING), torch.tensor([NOTHING])])
    return named[image.places.long()].short()  # the place -1 is the last


def _nearest(queries: Tensor, items: Tensor) -> Tensor:
    """The item with the largest cosine of each query, (Q, E), (K, E) -> (Q,)."""
    return torch.cat([(part @ items.T).argmax(1).cpu() for part in torch.split(queries, TILE)])


def _confusion(found: Sequence[Tensor], groups: Sequence[Cells | TrueRegions], classes: int) -> Tensor:
    """Counts the pixels of images: `found` has the class given to each group of pixels, `classes` for none."""
    truth, pixels = torch.cat([of.classes for of in groups]), torch.cat([of.pixels for of in groups])
    return confusion_matrix(torch.cat(list(found)), truth, classes, ignore=classes, pixels=pixels)
