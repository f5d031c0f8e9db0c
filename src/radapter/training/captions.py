"""Captions of images: their own, or the class name in a template, drawn anew for every sample and epoch.

Every caption is tokenised once, at the start, unless it comes with a stream. A batch holds each distinct caption
once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from radapter.data import Batch
from radapter.data.splits import key_of


class Captions(Protocol):
    """The text of each sample of a batch."""

    @property
    def tokens(self) -> Tensor | None:
        """(T, L), of all captions by their ids; None if they come with a stream."""

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (U, L) of the U distinct captions; which of them each sample has (B,); their ids (U,)."""


class ClassCaptions:
    """The C x T captions of C class names in T templates.

    Args:
        classnames: C names.
        templates: T templates with one "{}" each.
        tokenize: List of str -> (N, L) int64.
        seed: Of the draws.
    """

    def __init__(
        self,
        classnames: Sequence[str],
        templates: Sequence[str],
        tokenize: Callable[[list[str]], Tensor],
        *,
        seed: int,
    ) -> None:
        self._templates = len(templates)
        self.tokens = tokenize([t.format(name) for name in classnames for t in templates])
        self._seed = seed

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """The captions of one batch.

        Args:
            batch: Its labels are classes. A sample's template depends only on its index in the data set and the
                epoch.
            epoch: Counted from 0.
            samples: Size of the data set.

        Returns:
            tokens (U, L) of the U distinct captions; caption_of_image (B,) into them; caption ids (U,).
        """
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        drawn = torch.randint(self._templates, (samples,), generator=generator)
        ids, caption_of_image = torch.unique(
            batch.labels * self._templates + drawn[batch.indices], return_inverse=True
        )
        return self.tokens[ids], caption_of_image, ids


class PairCaptions:
    """Captions that come with their images: sample m of the data has the m-th.

    Args:
        captions: M texts; equal ones are one caption.
        tokenize: List of str -> (N, L) int64.
    """

    def __init__(self, captions: Sequence[str], tokenize: Callable[[list[str]], Tensor]) -> None:
        number = {text: row for row, text in enumerate(dict.fromkeys(captions))}
        self._id_of_sample = torch.tensor([number[text] for text in captions])
        self.tokens = tokenize(list(number))

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """The captions of the batch's indices."""
        ids, caption_of_image = torch.unique(self._id_of_sample[batch.indices], return_inverse=True)
        return self.tokens[ids], caption_of_image, ids


class StreamCaptions:
    """Captions that come with each batch and are tokenised then; the id is a hash of the text."""

    tokens = None

    def __init__(self, tokenize: Callable[[list[str]], Tensor]) -> None:
        self._tokenize = tokenize

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """The captions that the batch holds."""
        assert batch.captions is not None
        text_of = {key_of(text.encode()): text for text in batch.captions}
        ids, caption_of_image = torch.unique(
            torch.tensor([key_of(text.encode()) for text in batch.captions]), return_inverse=True
        )
        return self._tokenize([text_of[number] for number in ids.tolist()]), caption_of_image, ids
