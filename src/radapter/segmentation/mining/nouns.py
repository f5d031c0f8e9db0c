"""From a caption to the nouns that can be seen: longest match in a vocabulary.

English puts the thing last: of nouns that follow each other ("a kitchen table") the last is meant, unless the one
before is a plural. Some nouns are verbs too ("watches", "swing"); right after a noun they are taken for one where
subject and verb would agree ("a man watches", "children swing"; but "a rope swing"), and after "who" or "to".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

from radapter.segmentation.mining.vocabulary import Form, Vocabulary, words_of

VERBS = frozenset({
    "arm", "bat", "bear", "bike", "boat", "book", "bow", "box", "bubble", "button", "cart", "circle", "comb",
    "cross", "crowd", "dress", "drill", "drink", "drum", "duck", "eye", "face", "fan", "fence", "fish", "float",
    "fork", "glove", "grill", "hammer", "hand", "head", "hook", "hose", "iron", "kayak", "leaf", "light",
    "lock", "log", "mask", "mop", "nail", "paddle", "parachute", "park", "path", "pedal", "plant", "pool", "puzzle",
    "raft", "rake", "ram", "ring", "rock", "sail", "saw", "screw", "seat", "shadow", "shop", "shovel", "shower",
    "sign", "skateboard", "ski", "sled", "slide", "smoke", "snow", "snowball", "snowboard", "stage", "star",
    "step", "stick", "surfboard", "swing", "tail", "tape", "tie", "toast", "track", "trail", "train",
    "trumpet", "water", "wave", "wheel", "whip", "whistle",
})  # fmt: skip
"""Nouns that captions also use as verbs."""

_BEFORE_VERBS = frozenset({"who", "that", "which", "he", "she", "it", "they", "others", "to", "not"})


class NounFinder(Protocol):
    """Finds what a caption names."""

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The nouns of a caption, each once, in the singular, in the order in which they first occur."""


@final
class VocabularyNouns:
    """Finds the nouns of a vocabulary.

    Args:
        vocabulary: what is looked for; of several matches at a place the longest counts.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._forms = vocabulary.forms
        self._longest = vocabulary.longest

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The nouns of a caption, each once, in the order in which they first occur."""
        words = words_of(caption)
        kept: list[_Match] = []
        for match in self._matches(words):
            follows = kept[-1].end == match.start if kept else False
            if _is_verb(match, words, kept[-1] if follows else None):
                continue
            if follows and not kept[-1].form.is_plural:
                kept.pop()  # "kitchen" of "kitchen table"
            kept.append(match)
        return tuple(dict.fromkeys(match.form.noun for match in kept if match.form.noun is not None))

    def _matches(self, words: list[str]) -> "Iterator[_Match]":
        start = 0
        while start < len(words):
            for end in range(min(start + self._longest, len(words)), start, -1):
                form = self._forms.get(tuple(words[start:end]))
                if form is not None:
                    if form.noun is not None:
                        yield _Match(start, end, form)
                    start = end
                    break
            else:
                start += 1


@final
@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    form: Form


def _is_verb(match: _Match, words: list[str], before: _Match | None) -> bool:
    if match.form.singular not in VERBS:
        return False
    if before is not None:
        return before.form.is_plural != match.form.is_plural
    return match.start > 0 and words[match.start - 1] in _BEFORE_VERBS
