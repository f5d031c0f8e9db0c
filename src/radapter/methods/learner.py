"""What a method trains: the encoder, possibly a classification head, and the loss of one batch.

`ContrastiveLearner` matches images to captions with both towers. `HeadLearner` classifies images with a `Head`,
usually a `LinearHead` that starts as the zero-shot head. Their `forward` returns the loss, so that a distributed
wrapper sees one module with one call per step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from radapter.adapter import hold_statistics
from radapter.losses import FeatureLoss, Parts
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead


@dataclass(frozen=True)
class LabelledPairs:
    """One batch of (image, caption) pairs, each distinct caption once."""

    pixels: Tensor  # (B, 3, H, W)
    tokens: Tensor  # (U, L), the U distinct captions
    caption_of_image: Tensor  # (B,), indices of the U captions
    targets: Tensor  # (B,), int; equal values are positives of each other
    parts: Parts | None = None  # the processes that share the batch, if these are this process's rows
    text_features: Tensor | None = None  # (U, E), unit norm, of the captions; None runs the text tower
    image_features: Tensor | None = None  # (B, E), unit norm; None runs the image tower


class _Learner(nn.Module):
    def __init__(self, encoder: DualEncoder, loss: FeatureLoss) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self.regulariser: nn.Module | None = None

    def regularised(self, loss: Tensor, pairs: LabelledPairs, image_features: Tensor) -> Tensor:
        """The loss of a batch with the regulariser's term, if there is one."""
        return loss if self.regulariser is None else loss + self.regulariser(self, pairs, image_features)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode, but keeps in evaluation mode what training must not change: frozen towers, and statistics.

        A frozen tower thus has no dropout; in a tower with adapters the library's own stays active, as in PEFT.
        """
        super().train(mode)
        for tower in (self.encoder.image_tower(), self.encoder.text_tower()):
            if not learns(tower):
                for part in tower:
                    if isinstance(part, nn.Module):
                        part.eval()
        hold_statistics(self.encoder)
        return self


class ContrastiveLearner(_Learner):
    """Both towers, trained to match images and captions; it classifies with the zero-shot head of its text tower."""

    head: None = None
    reads_texts = True

    def forward(self, pairs: LabelledPairs) -> Tensor:
        """The loss of one batch, a scalar."""
        if pairs.text_features is None:
            image_features, text_features = self.encoder(pairs.pixels, pairs.tokens)
        else:
            text_features = pairs.text_features
            image_features = F.normalize(self.encoder.encode_image(pairs.pixels), dim=-1)
        return self.loss_of(image_features, text_features, pairs)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """The image tower's features, not normalised."""
        return self.encoder.encode_image(pixels)

    def trains_images(self) -> bool:
        """Whether what is trained changes image features."""
        return learns(self.encoder.image_tower())

    def loss_of(self, image_features: Tensor, text_features: Tensor, pairs: LabelledPairs) -> Tensor:
        """The loss from features of unit norm: of the images (B, E) and of the distinct captions (U, E)."""
        of_images = text_features[pairs.caption_of_image]
        loss = self.loss(image_features, of_images, pairs.targets, self.encoder.logit_scale, pairs.parts)
        return self.regularised(loss, pairs, image_features)


class HeadLearner(_Learner):
    """The image tower under a head, by cross-entropy; the text tower only gives the head's start.

    Args:
        encoder: Its parameters that require a gradient are trained.
        head: The head's start; copied, and trained unless `train_head` is False.
        loss: Of image features and head.
        regulariser: A module; forward(learner, pairs, image_features), of the whole batch, is added to the loss.
    """

    reads_texts = False

    def __init__(
        self,
        encoder: DualEncoder,
        head: Head,
        loss: FeatureLoss,
        *,
        train_head: bool = True,
        regulariser: nn.Module | None = None,
    ) -> None:
        super().__init__(encoder, loss)
        self.head = head.copied().requires_grad_(train_head)
        self.regulariser = regulariser

    def forward(self, pairs: LabelledPairs) -> Tensor:
        """The loss of one batch, a scalar; captions are ignored."""
        image_features = pairs.image_features
        if image_features is None:
            image_features = F.normalize(self.encode_image(pairs.pixels), dim=-1)
        return self.loss_of(image_features, None, pairs)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """The image features that the head reads, not normalised."""
        return self.head.encode(self.encoder, pixels)

    def trains_images(self) -> bool:
        """Whether what is trained changes image features."""
        return self.head.changes_features or learns(self.encoder.image_tower())

    def loss_of(self, image_features: Tensor, text_features: None, pairs: LabelledPairs) -> Tensor:
        """The loss from image features of unit norm, (B, E)."""
        loss = self.loss(image_features, self.head, pairs.targets, self.encoder.logit_scale, pairs.parts)
        return self.regularised(loss, pairs, image_features)


Learner = ContrastiveLearner | HeadLearner


def train_towers(encoder: DualEncoder, towers: Sequence[str]) -> None:
    """Makes the parameters of these towers trainable, and no others."""
    encoder.requires_grad_(False)
    for name, parts in (("image", encoder.image_tower()), ("text", encoder.text_tower())):
        for part in parts:
            part.requires_grad_(name in towers)


def tower_and_head(
    encoder: DualEncoder, head: LinearHead, loss: FeatureLoss, regulariser: nn.Module | None = None
) -> HeadLearner:
    """A learner of every parameter of the image tower, and of the head: full fine-tuning and its relatives."""
    train_towers(encoder, ("image",))
    return HeadLearner(encoder, head, loss, regulariser=regulariser)


def learns(tower: Sequence[nn.Module | nn.Parameter]) -> bool:
    """Whether anything in the parts of a tower is trained."""
    return any(
        parameter.requires_grad
        for part in tower
        for parameter in ([part] if isinstance(part, nn.Parameter) else part.parameters())
    )


def trained_parameters(learner: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that the optimizer moves, by name."""
    return {name: p for name, p in learner.named_parameters() if p.requires_grad}


def count_trained(learner: nn.Module) -> int:
    """The number of values that the optimizer moves."""
    return sum(p.numel() for p in trained_parameters(learner).values())
