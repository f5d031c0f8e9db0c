"""Captions of images: their own, or the class name in a template, drawn anew for every sample and epoch.

Every caption is tokenised once, at the start, unless it comes with a stream. A batch holds each distinct caption
once. If the text tower is not trained, its features of all captions are computed once, before the first step.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from radapter.data import Batch
from radapter.data.loading import Loader
from radapter.data.memory import Lease
from radapter.data.splits import key_of
from radapter.losses import Parts
from radapter.methods import LabelledPairs, Learner, learns
from radapter.processes import ALONE, Processes
from radapter.zeroshot import evaluating

_LOG = logging.getLogger(__name__)


class Captions(Protocol):
    """The text of each sample of a batch."""

    @property
    def tokens(self) -> Tensor | None:
        """(T, L), of all captions by their ids; None if they come with a stream."""

    def of(self, batch: Batch, *, epoch: int, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (U, L) of the U distinct captions; which of them each sample has (B,); their ids (U,).

        `epoch` counts from 0; `samples` is the size of the data set.
        """


class ClassCaptions:
    """The C x T captions of C class names in T templates with one "{}" each; `tokenize` gives (N, L) int64."""

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
        """The captions of the batch's labels. A sample's template depends only on its index and the epoch."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        drawn = torch.randint(self._templates, (samples,), generator=generator)
        ids, caption_of_image = torch.unique(
            batch.labels * self._templates + drawn[batch.indices], return_inverse=True
        )
        return self.tokens[ids], caption_of_image, ids


class PairCaptions:
    """Captions that come with their images: sample m of the data has the m-th; equal texts are one caption."""

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


@dataclass(frozen=True)
class TrainingData:
    """A training set.

    text_features: those of all captions by their ids, (T, E), unit norm; None encodes captions in every step.
    image_features: those of V augmentations of N images, (V, N, E), not normalised, of which epoch e reads number
    e mod V; None encodes the images of every batch.
    """

    loader: Loader
    captions: Captions
    text_features: Tensor | None = None
    image_features: Tensor | None = None

    def pairs(
        self, batch: Batch, *, epoch: int, device: torch.device, processes: Processes = ALONE
    ) -> tuple[LabelledPairs, dict[str, Tensor]]:
        """One batch on the device, and its keys by tower on the CPU, where coins are drawn."""
        samples = len(self.loader.dataset)
        tokens, caption_of_image, caption_ids = self.captions.of(batch, epoch=epoch, samples=samples)
        parts = None
        if batch.sizes is not None:
            assert processes.group is not None
            parts = Parts(processes.group, batch.sizes)
        image_features = None
        if self.image_features is not None:
            view = self.image_features[epoch % len(self.image_features), batch.indices]
            image_features = F.normalize(view.to(device), dim=-1)
        pairs = LabelledPairs(
            batch.pixels.to(device),
            tokens.to(device),
            caption_of_image.to(device),
            batch.labels.to(device),
            parts,
            None if self.text_features is None else self.text_features[caption_ids].to(device),
            image_features,
        )
        return pairs, {"image": batch.indices, "text": caption_ids}


def frozen_text_features(
    learner: Learner,
    captions: Captions,
    lease: Lease,
    accelerator: Accelerator,
    *,
    batch_size: int = 256,
    processes: Processes = ALONE,
) -> Tensor | None:
    """The features of all captions by their id, (T, E), unit norm, on the CPU.

    They are those of the tower in evaluation mode, chunk by chunk in the order of the ids, so a resumed run, or
    one with another number of processes, has them bitwise. None if the tower is trained or not read, captions come
    with a stream, or the lease is short of the four bytes for each number.
    """
    tokens, encoder = captions.tokens, learner.encoder
    if tokens is None or not learner.reads_texts or learns(encoder.text_tower()):
        return None
    count, size = len(tokens), len(tokens) * encoder.embed_dim * 4
    if not lease.take(size):
        _LOG.info(
            "the text tower is not trained, but its %d captions take %.2f MiB, more than is left: they are encoded "
            "in every step",
            *(count, size / 2**20),
        )
        return None

    def encode(chunk: Tensor) -> Tensor:
        with accelerator.autocast():
            return F.normalize(encoder.encode_text(chunk.to(accelerator.device)), dim=-1)

    with torch.no_grad(), evaluating(encoder):
        found = [part.cpu() for part in processes.in_turn(torch.split(tokens, batch_size), encode)]
    message = "the text tower is not trained: its %d captions are encoded once and take %.2f MiB"
    _LOG.info(message, count, size / 2**20)
    return torch.cat(found)
