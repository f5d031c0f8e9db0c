"""Captions longer than a text tower's context: they are truncated, counted and reported."""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

_log = logging.getLogger(__name__)


class TokenCounter(Protocol):
    """An encoder such as a `DualEncoder` with a text tower."""

    @property
    def context_length(self) -> int:
        """L, the most tokens of a text."""

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text without truncation."""


class LongCaptions(NamedTuple):
    """Numbers of distinct captions and of those that are cut, tokens of the longest, and the context in tokens."""

    captions: int
    cut: int
    longest: int
    context: int


def long_captions(captions: Sequence[str], encoder: TokenCounter, *, name: str) -> LongCaptions:
    """Counts the captions that the encoder cuts, and warns of them; raises ModelError if it cannot count tokens."""
    distinct = list(dict.fromkeys(captions))
    lengths = encoder.token_counts(distinct)
    context = encoder.context_length
    over = [text for text, length in zip(distinct, lengths, strict=True) if length > context]
    found = LongCaptions(len(distinct), len(over), max(lengths, default=0), context)
    if over:
        _log.warning(
            "captions of '%s' should have at most %d tokens, the text tower's context. %d of %d have more, up to "
            "%d, and are cut, such as %r. Shorten them, or take a model with a longer context.",
            name,
            context,
            found.cut,
            found.captions,
            found.longest,
            over[0] if len(over[0]) <= 80 else over[0][:77] + "...",
        )
    return found
