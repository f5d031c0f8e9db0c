"""A set of images and their captions, measured by retrieval in both directions at the weights of a moment."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from radapter.evaluation.features import PairEncoder, encode_images
from radapter.evaluation.jackknife import rsum_pseudo_values, standard_error
from radapter.evaluation.map_at_r import retrieval_map_at_r
from radapter.evaluation.measure import Measured
from radapter.evaluation.positives import positive_pairs
from radapter.evaluation.retrieval import retrieval_metrics, retrieval_ranks, retrieval_ranks_of_groups


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
        encoder: of the images.
        batches: the images, in order; one that is left out takes its captions with it.
        prepare: gives the features of the M captions at the present weights, unit norm, (M, E), on the CPU:
            `lambda: encode_texts(encoder, captions)`. Sets with the same captions share it.
        image_of_caption: (M,), int, into the N images.
        groups: (N,), int: the captions of a group are right answers to each of its images. Where every image is a
            group of its own these are its own captions.
        texts: (M,), int: equal captions have equal numbers. Those of one group are one text, which asks once and is
            ranked once: else the many copies of a class's name would fill the first ranks.
        targets: (N,), int: groups that share a caption are one target, for mAP@R, which asks for all right answers.
    """

    encoder: PairEncoder
    batches: Iterable[IndexedImages]
    prepare: Callable[[], Tensor]
    image_of_caption: Tensor
    groups: Tensor
    texts: Tensor
    targets: Tensor

    def count(self, batch: IndexedImages) -> int:
        """B."""
        return len(batch.indices)

    def truth(self, batch: IndexedImages) -> Tensor:
        """Which images these are."""
        return batch.indices

    def observe(self, prepared: Tensor, batch: IndexedImages) -> Tensor:
        """Features of the images, unit norm, (B, E), on the CPU."""
        return encode_images(self.encoder, [batch.pixels])

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Nothing of the zero-shot model is needed."""

    def summarise(self, prepared: Tensor, observed: Sequence[Tensor], truths: Sequence[Tensor]) -> Measured:
        """As `retrieval_metrics`, with rsum_se, rsum's standard error over images, i2t_map_at_r and t2i_map_at_r.

        Pseudo-values are those of rsum / 6: of each image, or of each group of images where they share captions.
        """
        images = torch.cat(list(truths))
        place = torch.full((len(self.targets),), -1)
        place[images] = torch.arange(len(images))
        image_of_text = place[self.image_of_caption]
        shown = (image_of_text >= 0).nonzero()[:, 0]  # captions of images that could be read
        groups, targets = self.groups[images], self.targets[images]
        units = torch.unique(groups, return_inverse=True)[1]
        alone = int(units.max()) + 1 == len(units)
        if not alone:
            shown = shown[_first_of_each(groups[image_of_text[shown]], self.texts[shown])]
        image_of_text = image_of_text[shown]
        image_features, text_features = torch.cat(list(observed)), prepared[shown]
        if alone:
            ranks = retrieval_ranks(image_features, text_features, image_of_text)
        else:
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


def _first_of_each(groups: Tensor, texts: Tensor) -> Tensor:
    """(M,) and (M,) to where each pair of them stands first, ascending."""
    _, pair = torch.unique(torch.stack((groups, texts), 1), dim=0, return_inverse=True)
    places = torch.arange(len(pair))
    first = torch.full((int(pair.max()) + 1,), len(pair)).scatter_reduce(0, pair, places, "amin")
    return first.sort().values
