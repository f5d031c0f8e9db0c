"""A set of images and their captions, measured by retrieval in both directions at the weights of a moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from radapter.evaluation.features import PairEncoder, encode_images, encode_texts
from radapter.evaluation.map_at_r import positive_pairs, retrieval_map_at_r
from radapter.evaluation.metrics import Metrics
from radapter.evaluation.retrieval import retrieval_metrics, retrieval_ranks


class IndexedImages(Protocol):
    """One batch; `data.Batch` is one."""

    @property
    def pixels(self) -> Tensor:
        """(B, 3, H, W), float."""

    @property
    def indices(self) -> Tensor:
        """(B,), int, into the set's images."""


@final
@dataclass(frozen=True, eq=False)
class RetrievalMeasure:
    """Images and captions, each encoded once: what `sweep` evaluates.

    Attributes:
        encoder: of both.
        batches: the images, in order; one that is left out takes its captions with it.
        captions: M texts.
        image_of_caption: (M,), int, into the N images.
        targets: (N,), int: images of one target are right answers to each other's captions, for mAP@R alone;
            recall counts an image's own captions.
    """

    encoder: PairEncoder
    batches: Iterable[IndexedImages]
    captions: Sequence[str]
    image_of_caption: Tensor
    targets: Tensor

    def prepare(self) -> Tensor:
        """Features of the captions, unit norm, (M, E), on the CPU."""
        return encode_texts(self.encoder, self.captions)

    def truth(self, batch: IndexedImages) -> Tensor:
        """Which images these are."""
        return batch.indices

    def observe(self, prepared: Tensor, batch: IndexedImages) -> Tensor:
        """Features of the images, unit norm, (B, E), on the CPU."""
        return encode_images(self.encoder, [batch.pixels])

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Nothing of the zero-shot model is needed."""

    def metrics(self, prepared: Tensor, observed: Sequence[Tensor], truths: Sequence[Tensor]) -> Metrics:
        """As `retrieval_metrics`, with `i2t_map_at_r` and `t2i_map_at_r`."""
        images = torch.cat(list(truths))
        place = torch.full((len(self.targets),), -1)
        place[images] = torch.arange(len(images))
        image_of_text = place[self.image_of_caption]
        readable = image_of_text >= 0
        image_features, text_features = torch.cat(list(observed)), prepared[readable]
        image_of_text, targets = image_of_text[readable], self.targets[images]
        ranks = retrieval_ranks(image_features, text_features, image_of_text)
        positives = positive_pairs(targets, targets[image_of_text])
        return {
            **retrieval_metrics(ranks),
            **retrieval_map_at_r(image_features, text_features, positives),
        }
