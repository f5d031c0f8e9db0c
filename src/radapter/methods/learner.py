"""What a method trains: the encoder, perhaps a classification head, and the loss of one batch.

Two kinds, by objective. `ContrastiveLearner` matches images to captions with both towers; `HeadLearner` classifies
images with a `LinearHead` that starts as the zero-shot head. Their `forward` returns the loss itself, so that
a distributed wrapper sees one module with one call a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch.nn.functional as F
from torch import Tensor, nn

from radapter.adapter import hold_statistics
from radapter.losses import FeatureLoss
from radapter.losses.gather import Parts
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead


@dataclass(frozen=True)
class LabelledPairs:
    """One batch of (image, caption) pairs, each distinct caption once.

    pixels: (B, 3, H, W). tokens: (U, L), the U distinct captions. caption_of_image: (B,), into the U captions.
    targets: (B,), int; equal values are positives of each other. parts: the processes that hold the whole batch
    together, where this is this process's part of it; None for a whole batch. text_features: (U, E), unit norm, of
    the captions, where they are known beforehand; None where the text tower is to be asked.
    """

    pixels: Tensor
    tokens: Tensor
    caption_of_image: Tensor
    targets: Tensor
    parts: Parts | None = None
    text_features: Tensor | None = None


class ContrastiveLearner(nn.Module):
    """Both towers, trained to match images and captions; it classifies with the zero-shot head of its text tower."""

    head: None = None
    reads_texts = True

    def __init__(self, encoder: DualEncoder, loss: FeatureLoss) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of what learns; see `hold_frozen` for what stays in evaluation mode."""
        super().train(mode)
        hold_frozen(self.encoder)
        return self

    def forward(self, pairs: LabelledPairs) -> Tensor:
        """The loss of one batch, a scalar."""
        if pairs.text_features is None:
            image_features, text_features = self.encoder(pairs.pixels, pairs.tokens)
        else:
            text_features = pairs.text_features
            image_features = F.normalize(self.encoder.encode_image(pairs.pixels), dim=-1)
        return self.loss_of(image_features, text_features, pairs)

    def loss_of(self, image_features: Tensor, text_features: Tensor, pairs: LabelledPairs) -> Tensor:
        """The loss from features of unit norm: of the images (B, E) and of the distinct captions (U, E)."""
        of_images = text_features[pairs.caption_of_image]
        return self.loss(image_features, of_images, pairs.targets, self.encoder.logit_scale, pairs.parts)


class HeadLearner(nn.Module):
    """The image tower under a head, by cross-entropy; the text tower only gives the head's start.

    Args:
        encoder: its parameters that require a gradient are trained.
        head: where the head starts; copied.
        loss: of image features and head.
        train_head: False keeps the head as it is.
        regulariser: a module that gives a further term of the loss, added to it.
    """

    reads_texts = False

    def __init__(
        self,
        encoder: DualEncoder,
        head: LinearHead,
        loss: FeatureLoss,
        *,
        train_head: bool = True,
        regulariser: "Regulariser | None" = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = LinearHead(head.weight, head.bias).requires_grad_(train_head)
        self.loss = loss
        self.regulariser = regulariser

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of what learns; see `hold_frozen` for what stays in evaluation mode."""
        super().train(mode)
        hold_frozen(self.encoder)
        return self

    def forward(self, pairs: LabelledPairs) -> Tensor:
        """The loss of one batch, a scalar. The captions are not read."""
        image_features = F.normalize(self.encoder.encode_image(pairs.pixels), dim=-1)
        return self.loss_of(image_features, None, pairs)

    def loss_of(self, image_features: Tensor, text_features: None, pairs: LabelledPairs) -> Tensor:
        """The loss from image features of unit norm, (B, E); the regulariser reads the batch itself."""
        loss = self.loss(image_features, self.head, pairs.targets, self.encoder.logit_scale, pairs.parts)
        return loss if self.regulariser is None else loss + self.regulariser(self, pairs)


class Regulariser(Protocol):
    """An `nn.Module` whose forward gives a term of a `HeadLearner`'s loss."""

    def __call__(self, learner: HeadLearner, pairs: LabelledPairs, /) -> Tensor:
        """A scalar, of the whole batch where `pairs` are a part of one."""


Learner = ContrastiveLearner | HeadLearner


def hold_frozen(encoder: DualEncoder) -> None:
    """Puts into evaluation mode what training must not change: frozen towers, and all running statistics.

    A tower in which nothing is trained computes as it is evaluated, without dropout. In a tower with adapters the
    library's own dropout stays active, as PEFT has it. BatchNorm keeps its statistics in every method, also where
    its weights are trained: see `adapter.statistics`.
    """
    for tower in (encoder.image_tower(), encoder.text_tower()):
        if not learns(tower):
            for part in tower:
                if isinstance(part, nn.Module):
                    part.eval()
    hold_statistics(encoder)


def learns(tower: Sequence[nn.Module | nn.Parameter]) -> bool:
    """Whether anything in the parts of a tower is trained."""
    return any(
        part.requires_grad
        if isinstance(part, nn.Parameter)
        else any(p.requires_grad for p in part.parameters())
        for part in tower
    )


def trained_parameters(learner: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that the optimizer moves, by name."""
    return {name: p for name, p in learner.named_parameters() if p.requires_grad}


def count_trained(learner: nn.Module) -> int:
    """How many numbers the optimizer moves."""
    return sum(p.numel() for p in trained_parameters(learner).values())
