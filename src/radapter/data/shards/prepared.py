"""From samples of a stream to a batch: captions chosen, pictures decoded, augmented and preprocessed."""

from typing import final

import torch
from torch import Tensor

from radapter.data.loading import Batch, Preprocess
from radapter.data.pictures.augment import Augmentation, draws
from radapter.data.pictures.decoding import decode
from radapter.data.shards.reading import Streamed
from radapter.data.shards.stream import ShardStream
from radapter.errors import DataError, ImageError
from radapter.hashing import keys as hashed

Read = tuple[Batch | None, list[tuple[int, str]]]
"""A batch, None where none of it could be decoded; and the samples that could not, with what is wrong."""


@final
class Prepared:
    """What a sample becomes: its captions are chosen, its picture is decoded, augmented and preprocessed.

    Args:
        dataset, preprocess, seed, per_image: as `StreamLoader`'s.
        augment: crop and flip.
    """

    def __init__(
        self,
        dataset: ShardStream,
        preprocess: Preprocess,
        augment: Augmentation,
        *,
        seed: int,
        per_image: int,
    ) -> None:
        self._dataset, self._preprocess, self._augment = dataset, preprocess, augment
        self._seed, self._per_image = seed, per_image

    def __call__(self, epoch: int, sample: Streamed) -> tuple[Tensor, Tensor]:
        """Pixels (K, 3, H, W) of a sample, and which captions go with them, (K,); raises ImageError."""
        chosen = self._chosen(epoch, sample)
        image = decode(sample.image, where=sample.where, max_pixels=self._dataset.max_pixels)
        # Pairs of one image differ by the number of their caption, as copies of a picture do in TrainLoader.
        chances = draws(self._seed, epoch, torch.tensor(sample.key) + chosen).tolist()
        return torch.stack([self._preprocess(self._augment(image, draw)) for draw in chances]), chosen

    def batch(self, results: list[tuple[Streamed, tuple[Tensor, Tensor] | ImageError]]) -> Read:
        """A group of samples as a batch."""
        failed = [(s.number, str(result)) for s, result in results if isinstance(result, ImageError)]
        read = [(s, *result) for s, result in results if not isinstance(result, ImageError)]
        if not read:
            return None, failed
        rows = torch.tensor([len(chosen) for _, _, chosen in read])
        spacing = self._dataset.most_captions
        captions = tuple(s.captions[c] for s, _, chosen in read if s.captions for c in chosen.tolist())
        groups = [sample.group for sample, _, _ in read]
        batch = Batch(
            pixels=torch.cat([pixels for _, pixels, _ in read]),
            labels=torch.tensor([self._label(sample) for sample, _, _ in read]).repeat_interleave(rows),
            keys=torch.tensor([sample.key for sample, _, _ in read]).repeat_interleave(rows),
            indices=torch.cat([sample.number * spacing + chosen for sample, _, chosen in read]),
            groups=None if None in groups else torch.tensor(groups).repeat_interleave(rows),
            captions=captions or None,
        )
        return batch, failed

    def _chosen(self, epoch: int, sample: Streamed) -> Tensor:
        """Which captions of a sample an epoch takes, ascending; (1,), 0 where it has a class."""
        numbers = torch.arange(max(len(sample.captions), 1))
        if len(numbers) <= self._per_image:
            return numbers
        ranks = hashed(self._seed, sample.number * self._dataset.most_captions + numbers, f"captions {epoch}")
        return torch.argsort(ranks, stable=True)[: self._per_image].sort().values

    def _label(self, sample: Streamed) -> int:
        label_of = self._dataset.label_of
        if label_of is None:
            return sample.label
        if not 0 <= sample.label < len(label_of):
            raise DataError(
                f"a label must lie in [0, {len(label_of) - 1}], the class list. '{sample.where}' has "
                f"{sample.label}. Write the shards again."
            )
        return label_of[sample.label]
