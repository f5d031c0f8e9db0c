"""The nouns that the captions of a data set name, image by image."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from radapter.data import PairSet
from radapter.errors import DataError
from radapter.segmentation.mining.nouns import NounFinder


class ImageNouns(NamedTuple):
    """What one image is said to show.

    ids: K places in the vocabulary, in the order in which captions name them. captions: for each the first one to do
    so. apart: (K, K), bool, which two stand in one caption: these are different things, while two captions may
    call one thing a man and a person.
    """

    ids: tuple[int, ...]
    captions: tuple[str, ...]
    apart: Tensor


@final
@dataclass(frozen=True)
class NamedNouns:
    """What N images are said to show.

    Attributes:
        nouns: the vocabulary, in alphabetical order: every noun that a caption names, and no other.
        of_images: N.
    """

    nouns: tuple[str, ...]
    of_images: tuple[ImageNouns, ...]

    @property
    def total(self) -> int:
        """Nouns over all images."""
        return sum(len(named.ids) for named in self.of_images)

    @property
    def without(self) -> int:
        """Images of which no caption names a noun."""
        return sum(not named.ids for named in self.of_images)


def named_nouns(pairs: PairSet, finder: NounFinder) -> NamedNouns:
    """Reads every caption once.

    Args:
        pairs: N images and their captions.
        finder: finds the nouns of a caption.

    Raises:
        DataError: no caption names a noun.
    """
    read: list[list[tuple[str, tuple[str, ...]]]] = [[] for _ in range(len(pairs))]
    for caption, image in zip(pairs.captions, pairs.image_of_caption.tolist(), strict=True):
        read[image].append((caption, finder(caption)))
    nouns = tuple(sorted({noun for captions in read for _, found in captions for noun in found}))
    if not nouns:
        raise DataError(
            f"captions must name nouns. None of the {len(pairs.captions)} of '{pairs.name}' does, such as "
            f"'{pairs.captions[0][:80]}'. Give a list of their nouns with --nouns FILE."
        )
    id_of = {noun: number for number, noun in enumerate(nouns)}
    return NamedNouns(nouns, tuple(_of_image(captions, id_of) for captions in read))


def _of_image(captions: Iterable[tuple[str, tuple[str, ...]]], id_of: dict[str, int]) -> ImageNouns:
    first: dict[str, str] = {}
    for caption, found in captions:
        for noun in found:
            first.setdefault(noun, caption)
    place = {noun: number for number, noun in enumerate(first)}
    apart = torch.zeros(len(first), len(first), dtype=torch.bool)
    for _, found in captions:
        rows = torch.tensor([place[noun] for noun in found], dtype=torch.int64)
        apart[rows[:, None], rows] = True
    return ImageNouns(
        tuple(id_of[noun] for noun in first), tuple(first.values()), apart.fill_diagonal_(False)
    )
