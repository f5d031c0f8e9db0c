"""What a text tower makes of texts before it computes: which of them it cannot tell apart, which words it lacks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from torch import Tensor


class TextReader(Protocol):
    """Turns texts into tokens; a `DualEncoder` is one."""

    def tokenize(self, texts: list[str], /) -> Tensor:
        """N texts -> (N, L), int."""

    def unknown_id(self) -> int | None:
        """The id of words that the vocabulary lacks; None where the tokenizer can read every word."""


def equal_texts(reader: TextReader, texts: Sequence[Sequence[str]]) -> list[list[int]]:
    """Which of C classes have the same token ids in all of their texts, so that no text tower tells them apart.

    Args:
        reader: has the tokenizer.
        texts: of each class, in the same order, such as its name in every template; at least one.

    Returns:
        The groups of two or more classes, in the order of their first. Texts that the context cuts are equal where
        what is left is equal.
    """
    # Most classes differ in their first text: all others are read for those alone that do not.
    candidates = _grouped(range(len(texts)), reader, lambda place: texts[place][:1])
    groups = [_grouped(group, reader, lambda place: texts[place]) for group in candidates]
    return [group for found in groups for group in found]


def unknown_words(reader: TextReader, names: Iterable[str]) -> dict[str, list[str]]:
    """The names with words that the vocabulary lacks, and these words; empty where every word is read."""
    unknown, listed = reader.unknown_id(), list(names)
    if unknown is None or not listed:
        return {}
    found = {}
    for name, is_unknown in zip(listed, _holds(reader, listed, unknown), strict=True):
        if is_unknown:
            words = name.split() or [name]
            alone = _holds(reader, words, unknown)
            found[name] = [word for word, lacking in zip(words, alone, strict=True) if lacking] or [name]
    return found


def _grouped(
    places: Iterable[int], reader: TextReader, texts_of: Callable[[int], Sequence[str]]
) -> list[list[int]]:
    chosen = list(places)
    texts = [text for place in chosen for text in texts_of(place)]
    rows = iter(reader.tokenize(texts).tolist())
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for place in chosen:
        ids = tuple(tuple(next(rows)) for _ in texts_of(place))
        groups.setdefault(ids, []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _holds(reader: TextReader, texts: list[str], token: int) -> list[bool]:
    found: list[bool] = (reader.tokenize(texts) == token).any(1).tolist()
    return found
