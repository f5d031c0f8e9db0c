"""Captions of images: their own, or the class name in a template, drawn anew for every sample and epoch.

Every caption is tokenised once, at the start, unless it comes with a stream; a batch carries each distinct caption
once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from radapter.data import Batch
from radapter.data.splits import key_of


class Captions(Protocol):
    """Which text goes with each sample of a batch.

    tokens: (T, L), of all captions by their ids; None where they come with a stream.
    """

    @property
    def tokens(self) -> Tensor | None:
        """Of all captions."""

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (U, L) of the U distinct captions; which of them each sample has (B,); their ids (U,)."""


class ClassCaptions:
    """The C x T captions of C class names in T templates.

    Args:
        classnames: C names.
        templates: T templates with one "{}" each.
        tokenize: list of str -> (N, L) int64.
        seed: fixes the draws.
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
            batch: its labels are classes, its indices places in the data set: a sample's template depends on its
                index and the epoch alone, not on the batch it comes in.
            epoch: counted from 0.
            samples: size of the data set.

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
        captions: M texts; those that are equal are one caption.
        tokenize: list of str -> (N, L) int64.
    """

    def __init__(self, captions: Sequence[str], tokenize: Callable[[list[str]], Tensor]) -> None:
        number = {text: row for row, text in enumerate(dict.fromkeys(captions))}
        self._id_of_sample = torch.tensor([number[text] for text in captions])
        self.tokens = tokenize(list(number))

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """As `Captions.of`; only the batch's indices are read."""
        ids, caption_of_image = torch.unique(self._id_of_sample[batch.indices], return_inverse=True)
        return self.tokens[ids], caption_of_image, ids


class StreamCaptions:
    """Captions that come with each batch, tokenised when they come; one is known by a hash of its text.

    Args:
        tokenize: list of str -> (N, L) int64.
    """

    tokens = None

    def __init__(self, tokenize: Callable[[list[str]], Tensor]) -> None:
        self._tokenize = tokenize

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """As `Captions.of`; only the batch's captions are read."""
        assert batch.captions is not None
        text_of = {key_of(text.encode()): text for text in batch.captions}
        ids, caption_of_image = torch.unique(
            torch.tensor([key_of(text.encode()) for text in batch.captions]), return_inverse=True
        )
        return self._tokenize([text_of[number] for number in ids.tolist()]), caption_of_image, ids
