"""Captions of images: their own, or the class name in a template, drawn anew for every sample and epoch.

Every caption is tokenised once, at the start; a batch carries each distinct caption once.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor


class Captions(Protocol):
    """Which text goes with each sample of a batch."""

    def of(
        self, labels: Tensor, indices: Tensor, *, epoch: int, samples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
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
        self._tokens = tokenize([t.format(name) for name in classnames for t in templates])
        self._seed = seed

    def of(
        self, labels: Tensor, indices: Tensor, *, epoch: int, samples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The captions of one batch.

        Args:
            labels: (B,), classes.
            indices: (B,), places in the data set: a sample's template depends on its index and the epoch alone,
                not on the batch it comes in.
            epoch: counted from 0.
            samples: size of the data set.

        Returns:
            tokens (U, L) of the U distinct captions; caption_of_image (B,) into them; caption ids (U,).
        """
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        drawn = torch.randint(self._templates, (samples,), generator=generator)
        ids, caption_of_image = torch.unique(labels * self._templates + drawn[indices], return_inverse=True)
        return self._tokens[ids], caption_of_image, ids


class PairCaptions:
    """Captions that come with their images: sample m of the data has the m-th.

    Args:
        captions: M texts; those that are equal are one caption.
        tokenize: list of str -> (N, L) int64.
    """

    def __init__(self, captions: Sequence[str], tokenize: Callable[[list[str]], Tensor]) -> None:
        number = {text: row for row, text in enumerate(dict.fromkeys(captions))}
        self._id_of_sample = torch.tensor([number[text] for text in captions])
        self._tokens = tokenize(list(number))

    def of(
        self, labels: Tensor, indices: Tensor, *, epoch: int, samples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Captions.of`; only `indices` is read."""
        ids, caption_of_image = torch.unique(self._id_of_sample[indices], return_inverse=True)
        return self._tokens[ids], caption_of_image, ids
