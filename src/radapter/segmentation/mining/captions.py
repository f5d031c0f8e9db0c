"""The nouns that the captions of a data set name, image by image, and the prompts of nouns."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from radapter.data import PairSet
from radapter.errors import DataError
from radapter.models import DualEncoder
from radapter.models.reading import equal_texts, unknown_words
from radapter.segmentation.mining.nouns import NounFinder

_log = logging.getLogger(__name__)

# Spelled with a vowel first, pronounced with a consonant.
_CONSONANT = ("uni", "use", "usu", "ute", "uku", "ura", "eu", "ewe", "one", "ufo")
_SILENT = ("hour", "honor", "honour", "heir", "honest")
# Read letter by letter; the first letter sounds as a vowel.
_LETTERS = frozenset({"atv", "suv", "x-ray", "mri", "lcd", "led", "sms", "mp3", "fm"})

_Caption = tuple[str, tuple[str, ...]]  # and its nouns


class ImageNouns(NamedTuple):
    """The K nouns of one image's captions."""

    ids: tuple[int, ...]  # places in the vocabulary, in the order in which captions name them
    captions: tuple[str, ...]  # for each the first caption that names it
    apart: Tensor  # (K, K), bool, which two are in one caption, see matching.py


class NamedNouns(NamedTuple):
    """The nouns of N images."""

    nouns: tuple[str, ...]  # that captions name, in alphabetical order
    of_images: tuple[ImageNouns, ...]  # N

    @property
    def total(self) -> int:
        """Number of nouns over all images."""
        return sum(len(named.ids) for named in self.of_images)

    @property
    def without(self) -> int:
        """Number of images whose captions name no noun."""
        return sum(not named.ids for named in self.of_images)


def named_nouns(pairs: PairSet, finder: NounFinder) -> NamedNouns:
    """Finds the nouns of every caption. Raises DataError if no caption names a noun."""
    read: list[list[_Caption]] = [[] for _ in range(len(pairs))]
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


def readable_nouns(named: NamedNouns, encoder: DualEncoder, template: str) -> NamedNouns:
    """Drops the nouns that a text tower reads as the tokens of another noun, and warns of unknown words.

    Such nouns would be nearest to the same region of an image, with no lead over each other. The `template` has one
    "{}". Raises DataError if no noun remains.
    """
    groups = equal_texts(encoder, [[prompt(noun, template)] for noun in named.nouns])
    equal = sorted(named.nouns[place] for group in groups for place in group)
    unknown = [noun for noun in unknown_words(encoder, named.nouns) if noun not in equal]
    if unknown:
        _log.warning("the model does not know %d of the nouns in the captions: %s.", *_counted(unknown))
    if not equal:
        return named
    count, shown = _counted(equal)
    if len(equal) == len(named.nouns):
        raise DataError(
            f"mining needs nouns that the model can tell apart. It reads all {count} in the captions as the tokens "
            f"of another, such as words that it does not know: {shown}. Use another --model."
        )
    _log.warning(
        "the model should tell the nouns apart. It reads %d of the %d in the captions as the tokens of another, "
        "such as words that it does not know: %s. They are skipped. Use another model to mine them.",
        *(count, len(named.nouns), shown),
    )
    kept = [noun for noun in named.nouns if noun not in equal]
    place = {named.nouns.index(noun): number for number, noun in enumerate(kept)}
    of_images = []
    for ids, captions, apart in named.of_images:
        rows = [row for row, noun in enumerate(ids) if noun in place]
        new_ids, new_captions = tuple(place[ids[row]] for row in rows), tuple(captions[row] for row in rows)
        of_images.append(ImageNouns(new_ids, new_captions, apart[rows][:, rows]))
    return NamedNouns(tuple(kept), tuple(of_images))


def prompt(noun: str, template: str) -> str:
    """Fills a noun into a template with one "{}"; "a" before the noun becomes "an" if its first sound is a vowel."""
    before, after = template.split("{}")
    words = before.split(" ")
    if len(words) > 1 and words[-1] == "" and words[-2].lower() in ("a", "an"):
        article = "an" if _starts_with_vowel(noun) else "a"
        words[-2] = article.capitalize() if words[-2][0].isupper() else article
    return " ".join(words) + noun + after


def _counted(nouns: list[str]) -> tuple[int, str]:
    return len(nouns), ", ".join(map(repr, nouns[:5])) + (" ..." if len(nouns) > 5 else "")


def _of_image(captions: Iterable[_Caption], id_of: dict[str, int]) -> ImageNouns:
    first: dict[str, str] = {}
    for caption, found in captions:
        for noun in found:
            first.setdefault(noun, caption)
    row_of = {noun: row for row, noun in enumerate(first)}
    apart = torch.zeros(len(first), len(first), dtype=torch.bool)
    for _, found in captions:
        rows = torch.tensor([row_of[noun] for noun in found], dtype=torch.int64)
        apart[rows[:, None], rows] = True
    ids = tuple(id_of[noun] for noun in first)
    return ImageNouns(ids, tuple(first.values()), apart.fill_diagonal_(False))


def _starts_with_vowel(noun: str) -> bool:
    word = noun.lower().split()[0]
    if word in _LETTERS or word.startswith(_SILENT):
        return True
    return word[:1] in ("a", "e", "i", "o", "u") and not word.startswith(_CONSONANT)
