"""Classification measure: labelled images under a zero-shot or a trained head."""

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.data import Batch
from radapter.evaluation.measure import Measured
from radapter.evaluation.metrics import classification_metrics, is_right, predicted, restricted
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


def class_logits(encoder: DualEncoder, head: LinearHead, pixels: Tensor) -> Tensor:
    """Class scores of images under a head, in the encoder's current mode and weights.

        logits = normalise(f(pixels)) @ weight.T + bias

    Args:
        encoder: Encodes the images.
        head: Of C classes.
        pixels: (B, 3, H, W), float; moved to the head's device.

    Returns:
        (B, C), float32 or wider.
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
        classes: The columns of the head that the set can hold; see `classification_metrics`.
        name: Name of the set.
        zero_shot: Predictions of the zero-shot model by set, written by `remember`, for the agreement with it. None
            disables it.
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
        logits, labels = restricted(torch.cat(list(observed)), torch.cat(of_batch), self.classes)
        metrics = classification_metrics(
            logits, labels, groups=_joined(groups), zero_shot=(self.zero_shot or {}).get(self.name)
        )
        return Measured(metrics, is_right(logits, labels).float())


def _joined(groups: Sequence[Tensor | None]) -> Tensor | None:
    known = [of_batch.cpu() for of_batch in groups if of_batch is not None]
    return torch.cat(known) if len(known) == len(groups) else None
