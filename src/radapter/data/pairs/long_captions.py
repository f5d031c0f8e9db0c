"""Captions longer than a text tower's context: they are cut, counted, and said to be."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Protocol, final

_log = logging.getLogger(__name__)


class TokenCounter(Protocol):
    """What is asked; a `DualEncoder` with a text tower is one."""

    @property
    def context_length(self) -> int:
        """L, tokens that a text may have."""

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each of N texts, none of them cut."""


@final
@dataclasses.dataclass(frozen=True)
class LongCaptions:
    """What a context does to captions.

    Attributes:
        captions: distinct captions.
        cut: those with more tokens than the context; the tower sees their beginning.
        longest: tokens of the longest, with those of begin and end.
        context: tokens that the tower takes.
    """

    captions: int
    cut: int
    longest: int
    context: int


def long_captions(captions: Sequence[str], encoder: TokenCounter, *, name: str) -> LongCaptions:
    """Counts the captions that a context cuts, and warns where there are any.

    Args:
        captions: M texts.
        encoder: of the text tower that reads them.
        name: what the warning calls the data set.

    Raises:
        ModelError: the tokenizer's files are missing, or it cannot say how long an uncut text is.
    """
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
