"""The three sets together: balanced batches of augmented views, and the words of the captions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from . import images as data
from .augment import augment

SIZE, STORED = 64, 80
WORDS = 200
LABELLED = {"pacs": 66 / 85, "cifar10": 19 / 85}
"""What the pictures of a batch that have labels come from."""


class Batch(NamedTuple):
    """views: (B, 3, SIZE, SIZE) in [-1, 1], PACS, then CIFAR-10, then Flickr8k; labels: of the first two.

    flickr: rows of the last part in the set of Flickr8k; bags: their words, (F, W).
    """

    views: Tensor
    labels: Tensor
    flickr: Tensor
    bags: Tensor


class Sources:
    """PACS [0, 0.5), CIFAR-10 and a part of Flickr8k in memory, read once and kept beside the checkpoints.

    Args:
        root: the data.
        work: of the checkpoints.
        flickr_part: content fractions [low, high) of the pictures of Flickr8k's training set that are read.
        flickr_share: of a batch.
    """

    def __init__(
        self, root: Path, work: Path, *, flickr_part: tuple[float, float], flickr_share: float
    ) -> None:
        self._shares = {name: (1 - flickr_share) * share for name, share in LABELLED.items()}
        self._shares["flickr8k"] = flickr_share
        cache = work / "images.pt"
        if not cache.exists():
            read = {
                "pacs": data.read_pacs(root, data.TRAIN, STORED),
                "validation": data.read_pacs(root, data.VALIDATION, STORED),
                "cifar10": data.read_cifar10(root),
                "flickr8k": data.read_flickr8k(root, flickr_part, STORED),
            }
            state = {
                k: (v.pixels, v.labels, v.domains, [list(c) for c in v.captions]) for k, v in read.items()
            }
            torch.save(state, cache)
        raw = torch.load(cache, weights_only=True)
        sets = {k: data.Images(p, y, d, tuple(tuple(c) for c in t)) for k, (p, y, d, t) in raw.items()}
        self.pacs, self.cifar10, self.flickr8k = sets["pacs"], sets["cifar10"], sets["flickr8k"]
        self.validation = sets["validation"]
        self.weights = data.balanced_weights(self.pacs)
        self.frequent_words = _frequent_words(self.flickr8k.captions)
        self.bags = _bags(self.flickr8k.captions, self.frequent_words[:WORDS])

    def batch(self, size: int, generator: Generator, device: torch.device) -> Batch:
        """Different pictures, places and colours at each call; the same for the same generator.

        All but the rows are on `device`.
        """
        count = {name: round(share * size) for name, share in self._shares.items()}
        pacs = torch.multinomial(self.weights, count["pacs"], replacement=True, generator=generator)
        cifar = torch.randint(0, len(self.cifar10), (count["cifar10"],), generator=generator)
        flickr = torch.randperm(len(self.flickr8k), generator=generator)[: count["flickr8k"]]
        views = [
            augment(self.pacs.pixels[pacs], SIZE, generator),
            augment(self.cifar10.pixels[cifar], SIZE, generator, smallest=0.5),
            augment(self.flickr8k.pixels[flickr], SIZE, generator),
        ]
        labels = torch.cat([self.pacs.labels[pacs], self.cifar10.labels[cifar]])
        pixels = (torch.cat(views) * 2 - 1).to(device)
        return Batch(pixels, labels.to(device), flickr, self.bags[flickr].to(device))


def _frequent_words(captions: tuple[tuple[str, ...], ...]) -> list[str]:
    """Words by the number of pictures they describe, those of more than 60 % of the pictures left out."""
    count: Counter[str] = Counter()
    for texts in captions:
        count.update({word for text in texts for word in text.lower().split() if word.isalpha()})
    words = [word for word, number in count.items() if number < 0.6 * len(captions)]
    return sorted(words, key=lambda word: (-count[word], word))


def _bags(captions: tuple[tuple[str, ...], ...], words: list[str]) -> Tensor:
    """(N, W): the share of a picture's captions that have the word."""
    bags = torch.zeros(len(captions), len(words))
    index = {word: i for i, word in enumerate(words)}
    for row, texts in enumerate(captions):
        for text in texts:
            for word in set(text.lower().split()) & index.keys():
                bags[row, index[word]] += 1 / len(texts)
    return bags
