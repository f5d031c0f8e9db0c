"""A zero-shot or trained head over image features, evaluated on batches of labelled images."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.evaluation.measure import Measured, Progress, measured
from radapter.evaluation.metrics import Metrics, classification_metrics, is_right, predicted, restricted
from radapter.losses.batch import widen
from radapter.zeroshot import LinearHead


class ImageEncoder(Protocol):
    """What images are classified with; a `DualEncoder` is one."""

    def encode_image(self, pixels: Tensor, /) -> Tensor:
        """(B, 3, H, W) -> (B, E), not necessarily of unit norm."""

    def modules(self) -> Iterator[nn.Module]:
        """As `nn.Module.modules`."""


class LabelledImages(Protocol):
    """One batch; `data.Batch` is one."""

    @property
    def pixels(self) -> Tensor:
        """(B, 3, H, W), float."""

    @property
    def labels(self) -> Tensor:
        """(B,), int."""

    @property
    def groups(self) -> Tensor | None:
        """(B,), int; None where the set has no groups."""


def class_logits(encoder: ImageEncoder, head: LinearHead, pixels: Tensor) -> Tensor:
    """Class scores of images under a head, in the encoder's present mode and weights.

        logits = normalise(f(pixels)) @ weight.T + bias

    Args:
        encoder: gives image embeddings.
        head: zero-shot or trained, of C classes.
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
    """Labelled images under a head: what `sweep` evaluates.

    Attributes:
        encoder: gives image embeddings.
        prepare: the head at the present weights.
        batches: the set.
        classes: the columns of the head that the set can hold; see `classification_metrics`.
        name: of the set.
        zero_shot: what the zero-shot model predicts, by set; kept for the agreement with it. None tells none.
    """

    encoder: ImageEncoder
    prepare: Callable[[], LinearHead]
    batches: Iterable[LabelledImages]
    classes: Tensor | None = None
    name: str = "set"
    zero_shot: MutableMapping[str, Tensor] | None = None

    def count(self, batch: LabelledImages) -> int:
        """B."""
        return len(batch.labels)

    def truth(self, batch: LabelledImages) -> tuple[Tensor, Tensor | None]:
        """Labels and groups."""
        return batch.labels.cpu(), batch.groups

    def observe(self, prepared: LinearHead, batch: LabelledImages) -> Tensor:
        """Logits, (B, C), on the CPU."""
        return class_logits(self.encoder, prepared, batch.pixels).cpu()

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Keeps the zero-shot predictions."""
        if self.zero_shot is not None:
            self.zero_shot[self.name] = predicted(torch.cat(list(observed)), self.classes)

    def summarise(
        self,
        prepared: LinearHead,
        observed: Sequence[Tensor],
        truths: Sequence[tuple[Tensor, Tensor | None]],
    ) -> Measured:
        """As `classification_metrics`; an image's pseudo-value is 1 where its label is predicted, else 0."""
        of_batch, groups = zip(*truths, strict=True)
        logits, labels = restricted(torch.cat(list(observed)), torch.cat(of_batch), self.classes)
        metrics = classification_metrics(
            logits,
            labels,
            groups=_joined(groups),
            zero_shot=(self.zero_shot or {}).get(self.name),
        )
        return Measured(metrics, is_right(logits, labels).float())


def evaluate_classification(
    encoder: ImageEncoder,
    head: LinearHead,
    batches: Iterable[LabelledImages],
    *,
    classes: Tensor | None = None,
    name: str = "set",
    progress: Progress | None = None,
) -> Metrics:
    """The metrics of one set, in evaluation mode, at the weights the encoder has.

    Args:
        encoder: gives image embeddings; it is left in the mode it was in.
        head: `LinearHead.zero_shot(class_embeddings(...), encoder.logit_scale)`, or a trained one.
        batches: the set, decoded as it is read; only logits are kept.
        classes: the columns of the head that the set can hold; see `classification_metrics`.
        name: what progress and errors call the set.
        progress: told of each batch.

    Returns:
        As `classification_metrics`.

    Raises:
        DataError: there is no image.
    """
    measure = ClassificationMeasure(encoder, lambda: head, batches, classes)
    return measured(encoder, measure, name=name, progress=progress).metrics


def _joined(groups: Sequence[Tensor | None]) -> Tensor | None:
    """The groups of all batches, (N,); None where a batch has none."""
    known = [of_batch.cpu() for of_batch in groups if of_batch is not None]
    return torch.cat(known) if len(known) == len(groups) else None
