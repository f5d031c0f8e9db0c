"""The visible nouns of a caption: the longest matches in a vocabulary, or the heads of spaCy's noun chunks.

The vocabulary rules: of nouns that follow each other ("a kitchen table") the last is meant, unless the one before is
a plural. Some nouns are verbs too ("watches", "swing"). Right after a noun they count as verbs if subject and verb
would agree ("a man watches", "children swing"; but "a rope swing"), and after "who" or "to" always.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, final

from radapter.errors import ConfigError, MissingExtraError
from radapter.segmentation.mining.vocabulary import Form, Vocabulary, words_of

SCHEME = "spacy:"
"""Prefix of a list of nouns that names a spaCy pipeline."""

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
    """Finds the nouns of a caption."""

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The nouns, each once, in the singular, in the order in which they first occur."""


@final
class VocabularyNouns:
    """Finds the nouns of a vocabulary; the longest of several matches at a place counts."""

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
class SpacyNouns:
    """Finds the heads of noun chunks, in the singular, of any vocabulary.

    Args:
        pipeline: A spaCy pipeline that tags, parses and lemmatises English, such as `spacy.load("en_core_web_sm")`.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    @classmethod
    def from_name(cls, name: str) -> "SpacyNouns":
        """Loads the pipeline of an installed package or a folder; nothing is downloaded. Raises ConfigError if there
        is no such pipeline, or it finds no noun chunks, and MissingExtraError if spaCy is not installed."""
        try:
            import spacy
        except ImportError as error:
            raise MissingExtraError(
                "nouns by spaCy need spacy, which is not installed. Run pip install 'radapter[nouns]', or use the "
                "built-in list."
            ) from error
        try:
            pipeline = spacy.load(name, exclude=["ner"])
        except OSError as error:
            raise ConfigError(
                f"a spaCy pipeline must be installed. '{name}' is not. Run python -m spacy download {name}."
            ) from error
        lacking = [part for part in ("parser", "lemmatizer") if part not in pipeline.pipe_names]
        if lacking:
            raise ConfigError(
                f"a spaCy pipeline must have a parser and a lemmatizer. '{name}' lacks {' and '.join(lacking)}. Use "
                "en_core_web_sm."
            )
        return cls(pipeline)

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The heads of a caption's noun chunks, each once, in lower case, without names and pronouns."""
        heads = (chunk.root for chunk in self._pipeline(caption).noun_chunks)
        return tuple(dict.fromkeys(head.lemma_.lower() for head in heads if head.pos_ == "NOUN"))


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
