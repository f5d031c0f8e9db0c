"""Retrieval measure: images and their captions, in both directions, at the model's current weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from radapter.data import Batch
from radapter.evaluation.features import encode_images
from radapter.evaluation.jackknife import rsum_pseudo_values, standard_error
from radapter.evaluation.retrieval import (
    positive_pairs,
    retrieval_map_at_r,
    retrieval_metrics,
    retrieval_ranks_of_groups,
)
from radapter.evaluation.sweep import Measured
from radapter.models import DualEncoder


@final
@dataclass(frozen=True, eq=False)
class RetrievalMeasure:
    """Images and captions, each encoded once; `sweep` evaluates it.

    Attributes:
        encoder: Encodes the images.
        batches: The images in order. If an image is unreadable, its captions are left out too.
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

        Pseudo-values are those of rsum / 6, one for each image, or for each group if images share captions.
        """
        images = torch.cat(list(truths))
        place = torch.full((len(self.targets),), -1)
        place[images] = torch.arange(len(images))
        image_of_text = place[self.image_of_caption]
        shown = (image_of_text >= 0).nonzero()[:, 0]  # captions of images that could be read
        groups, targets = self.groups[images], self.targets[images]
        units = torch.unique(groups, return_inverse=True)[1]
        if int(units.max()) + 1 < len(
            units
        ):  # images share captions: each group's equal captions are one text
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
        return Measured(metrics, (pseudo_values / 6).float())
