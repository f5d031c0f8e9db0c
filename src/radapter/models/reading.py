"""How a text tower reads texts: which ones it cannot distinguish, and which words its vocabulary lacks."""

from collections.abc import Callable, Iterable, Sequence

from radapter.models.encoder import DualEncoder


def equal_texts(reader: DualEncoder, texts: Sequence[Sequence[str]]) -> list[list[int]]:
    """Groups of two or more classes whose texts all have the same token ids, so that no text tower separates them.

    `texts` are those of each class, at least one, in the same order; texts that the context cuts are compared cut.
    """
    # Most classes differ in their first text, so the others are only read for those that do not.
    candidates = _grouped(range(len(texts)), reader, lambda place: texts[place][:1])
    groups = [_grouped(group, reader, lambda place: texts[place]) for group in candidates]
    return [group for found in groups for group in found]


def unknown_words(reader: DualEncoder, names: Iterable[str]) -> dict[str, list[str]]:
    """The names with words that the vocabulary lacks, and these words; empty if every word is known."""
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
    places: Iterable[int], reader: DualEncoder, texts_of: Callable[[int], Sequence[str]]
) -> list[list[int]]:
    chosen = list(places)
    texts = [text for place in chosen for text in texts_of(place)]
    rows = iter(reader.tokenize(texts).tolist())
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for place in chosen:
        ids = tuple(tuple(next(rows)) for _ in texts_of(place))
        groups.setdefault(ids, []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _holds(reader: DualEncoder, texts: list[str], token: int) -> list[bool]:
    found: list[bool] = (reader.tokenize(texts) == token).any(1).tolist()
    return found
