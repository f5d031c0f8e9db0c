"""Classification measure: labelled images under a zero-shot or a trained head."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data import Batch
from radapter.evaluation.metrics import Metrics, classification_metrics, is_right, predicted, restricted
from radapter.evaluation.sweep import ALPHAS, Measured, Progress, sweep
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def class_logits(encoder: DualEncoder, head: LinearHead, pixels: Tensor) -> Tensor:
    """Class scores of images, (B, 3, H, W) -> (B, C), float32 or wider, in the encoder's current mode and weights.

    logits = normalise(f(pixels)) @ weight.T + bias
    """
    embeddings = encoder.encode_image(pixels.to(head.weight.device))
    logits: Tensor = head(F.normalize(widen(embeddings), dim=-1))
    return logits


@final
@dataclass(frozen=True, eq=False)
class ClassificationMeasure:
    """Labelled images under a head; `sweep` evaluates it.

    Attributes:
        encoder: Encodes the images.
        prepare: Returns the head at the current weights.
        batches: The set.
        classes: The columns of the head that the set can hold; see `restricted`.
        name: Name of the set.
        zero_shot: Set name -> predictions of the zero-shot model, written by `remember`, for the agreement with it.
            None disables it.
    """

    encoder: DualEncoder
    prepare: Callable[[], LinearHead]
    batches: Iterable[Batch]
    classes: Tensor | None = None
    name: str = "set"
    zero_shot: MutableMapping[str, Tensor] | None = None

    def count(self, batch: Batch) -> int:
        """B."""
        return len(batch.labels)

    def truth(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Labels and groups."""
        return batch.labels.cpu(), batch.groups

    def observe(self, prepared: LinearHead, batch: Batch) -> Tensor:
        """Logits, (B, C), on the CPU."""
        return class_logits(self.encoder, prepared, batch.pixels).cpu()

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Keeps the zero-shot predictions."""
        if self.zero_shot is not None:
            self.zero_shot[self.name] = predicted(torch.cat(list(observed)), self.classes)

    def summarise(
        self, prepared: LinearHead, observed: Sequence[Tensor], truths: Sequence[tuple[Tensor, Tensor | None]]
    ) -> Measured:
        """Returns `classification_metrics`; an image's pseudo-value is 1 if its label is predicted, else 0."""
        of_batch, groups = zip(*truths, strict=True)
        known = [each.cpu() for each in groups if each is not None]
        logits, labels = restricted(torch.cat(list(observed)), torch.cat(of_batch), self.classes)
        metrics = classification_metrics(
            logits,
            labels,
            groups=torch.cat(known) if len(known) == len(groups) else None,
            zero_shot=(self.zero_shot or {}).get(self.name),
        )
        return Measured(metrics, is_right(logits, labels).float())


def alpha_sweep(
    encoder: DualEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    head: Callable[[], LinearHead],
    sets: Mapping[str, Iterable[Batch]],
    alphas: Sequence[float] = ALPHAS,
    *,
    classes: Mapping[str, Tensor] | None = None,
    zero_shot: MutableMapping[str, Tensor] | None = None,
    progress: Progress | None = None,
) -> dict[float, dict[str, Metrics]]:
    """`sweep` of sets of labelled images under a head; what is not listed here is as for `sweep`.

    Args:
        encoder: Encodes the images.
        at: `head` is read inside its block.
        head: Returns the head, called once per alpha: a trained head, or
            `lambda: LinearHead.zero_shot(class_embeddings(...), logit_scale)` for the text tower at that alpha.
        sets: Name -> batches, each iterable once.
        alphas: Each in [0, 1].
        classes: Name -> the columns of the head that this set can hold; see `classification_metrics`.
        zero_shot: Name -> (N,), predictions of the zero-shot model. Alpha 0 writes them if it is computed; sets
            with predictions get the metric agreement.
        progress: Called with a set's name and its number of images just done.
    """
    measures = {
        name: ClassificationMeasure(
            encoder, head, batches, (classes or {}).get(name), name=name, zero_shot=zero_shot
        )
        for name, batches in sets.items()
    }
    return sweep(encoder, at, measures, alphas, progress=progress)
