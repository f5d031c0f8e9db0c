"""A loss term that keeps a model near its frozen start: its logits of texts for the images of the batch.

f0 and g0 are the towers before training, f and g those in training, t0 and t the temperatures, and T some texts:

    v0 = t0 f0(x) g0(T)        v = t f(x) g(T)        term = weight * mean over x of divergence(v0, v)

`FrozenTeacher` is the term of CAR-FT, of Lipsum-FT and of the option `loss.anchor`. They differ in their texts and
their divergence. With a frozen text tower, g(T) = g0(T).
"""

import copy
from collections.abc import Callable
from typing import NamedTuple, Protocol, Self, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses.batch import full_precision, scaled_cosines, widen
from radapter.methods.learner import LabelledPairs, Learner, learns
from radapter.methods.method import MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import evaluating

IMAGES_AT_ONCE = 256  # images that the teacher encodes together

Divergence = Callable[[Tensor, Tensor], Tensor]
"""The teacher's and the learner's logits (B, M), float32 or wider -> (B,)."""


class TeacherSettings(MethodSettings):
    """What users set of CAR-FT and Lipsum-FT."""

    weight: float = Field(
        default=1.0, ge=0, description="weight of the frozen teacher's term; 0 is full fine-tuning"
    )


class Drawn(NamedTuple):
    """The M texts of one step."""

    rows: Tensor  # (M, E), unit norm, the teacher's features
    tokens: Tensor | None = None  # (M, L); None if the texts are fixed vectors


class Texts(Protocol):
    """What the teacher is asked about."""

    def draw(self, teacher: DualEncoder) -> Drawn:
        """The texts of a step, drawn from torch's generator on the CPU, which the loop seeds for each step."""


def kl_divergence(wanted: Tensor, found: Tensor) -> Tensor:
    """KL(softmax(wanted), softmax(found)) of each row, in nats."""
    log_wanted, log_found = F.log_softmax(wanted, dim=1), F.log_softmax(found, dim=1)
    return (log_wanted.exp() * (log_wanted - log_found)).sum(1)


def half_mean_square(wanted: Tensor, found: Tensor) -> Tensor:
    """||found - wanted||^2 / (2 M) of each row."""
    return (found - wanted).square().mean(1) / 2


@final
class FrozenTeacher(nn.Module):
    """The term; `teacher` is copied as it is now, so build it before the encoder is changed."""

    def __init__(self, teacher: DualEncoder, texts: Texts, divergence: Divergence, *, weight: float) -> None:
        super().__init__()
        self.teacher = copy.deepcopy(teacher).requires_grad_(False).eval()
        self.texts, self.divergence, self.weight = texts, divergence, weight

    def train(self, mode: bool = True) -> Self:
        """Sets the mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, learner: Learner, pairs: LabelledPairs, image_features: Tensor) -> Tensor:
        """A scalar. `image_features` (B, E) are the learner's, of unit norm; labels and captions are ignored.

        The learner's text tower reads the texts in evaluation mode, because adapter dropping has no coins for them.
        """
        with torch.no_grad():
            drawn = self.texts.draw(self.teacher)
            chunks = torch.split(pairs.pixels, IMAGES_AT_ONCE)
            images = F.normalize(
                torch.cat([widen(self.teacher.encode_image(chunk)) for chunk in chunks]), dim=-1
            )
        rows = drawn.rows
        if drawn.tokens is not None and learns(learner.encoder.text_tower()):
            with evaluating(learner.encoder):
                rows = F.normalize(learner.encoder.encode_text(drawn.tokens), dim=-1)
        with full_precision(images):
            wanted = scaled_cosines(images, drawn.rows, self.teacher.logit_scale)
            found = scaled_cosines(image_features, rows, learner.encoder.logit_scale)
            distances = self.divergence(wanted, found.to(wanted))
        if pairs.parts is not None:
            distances = pairs.parts.joined(distances)
        return self.weight * distances.mean()
