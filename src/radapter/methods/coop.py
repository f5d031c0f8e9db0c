"""CoOp: learned vectors in the place of the words around a class name, both towers frozen.

Source: Zhou et al., "Learning to prompt for vision-language models", IJCV 2022. v are M vectors of the text tower's
width, g the text tower, f image features of unit norm, t the temperature:

    W_c = normalise(g([v_1 .. v_M, NAME_c, "."]))
    logits = t W f

The vectors start as embeddings of "a photo of a", the release's setting for new classes. A number of random ones,
such as its 16 for other experiments, is an option. radapter's alpha mixes the rows of two classifiers; W0 are those
of the zero-shot head:

    W(alpha) = (1 - alpha) t W0 + alpha t W
"""

from collections.abc import Mapping, Sequence
from typing import Self, final, get_args

import torch
from pydantic import Field
from torch import Tensor, nn

from radapter.losses import FeatureLoss
from radapter.losses.batch import linear_logits
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.prompting import (
    Borrowed,
    ContextSettings,
    Position,
    check_settings,
    prompt_features,
    prompt_tokens,
    starting_context,
)
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead, evaluating

POSITIONS: tuple[Position, ...] = get_args(Position)


class CoOpSettings(ContextSettings):
    """What users set of CoOp."""

    position: Position = Field(
        "end", description="where the class name stands: after, between or before the vectors"
    )
    per_class: bool = Field(False, description="whether each class has vectors of its own")


@final
class ContextHead(Head):
    """The classifier of the prompts of `classnames`, mixed with the rows of `zero_shot`, which stay fixed.

    `context` is (M, D), or (C, M, D) with vectors of each class's own.
    """

    path = ("mix",)
    weight: Tensor
    bias: Tensor
    mix: Tensor
    position: Tensor

    def __init__(
        self,
        encoder: DualEncoder,
        zero_shot: LinearHead,
        classnames: Sequence[str],
        *,
        context: Tensor,
        position: Position,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", zero_shot.weight.detach().clone())
        self.register_buffer("bias", zero_shot.bias.detach().clone())
        self.register_buffer("mix", self.bias.new_ones(()))
        place = torch.tensor(POSITIONS.index(position), device=self.bias.device)
        self.register_buffer("position", place)  # an index, as a run directory keeps tensors only
        self.context = nn.Parameter(context)
        self._towers = Borrowed(encoder)
        self._tokens = prompt_tokens(encoder, classnames, context.shape[-2], position)

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        rows = LinearHead(tensors["bias"].new_zeros(tensors["bias"].numel(), encoder.embed_dim))
        position = POSITIONS[int(tensors["position"])]
        return cls(encoder, rows, classnames, context=torch.zeros_like(tensors["context"]), position=position)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        return linear_logits(features, self.rows(), self.bias)

    def rows(self) -> Tensor:
        """The classifier's rows (C, E), the temperature included."""
        encoder = self._towers.encoder
        own = encoder.logit_scale * prompt_features(encoder, self._tokens, self.context)
        return torch.lerp(self.weight, own.to(self.weight), self.mix)

    @torch.no_grad()
    def prepared(self) -> LinearHead:
        """The classifier at the current weights."""
        with evaluating(self._towers.encoder):
            return LinearHead(self.rows(), self.bias)

    def for_classes(self, classnames: Sequence[str], zero_shot: LinearHead) -> Head:
        """The same context around other names; vectors of each class's own do not fit them."""
        if self.context.ndim == 3:
            return zero_shot
        position = POSITIONS[int(self.position)]
        other = ContextHead(
            self._towers.encoder,
            zero_shot,
            classnames,
            context=self.context.detach().clone(),
            position=position,
        )
        other.mix.copy_(self.mix)
        return other.requires_grad_(False)


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the vectors."""
    assert isinstance(settings, CoOpSettings)
    encoder.requires_grad_(False)
    context = starting_context(encoder, settings.context)
    if settings.per_class:
        context = context.repeat(len(head.weight), 1, 1)
    prompts = ContextHead(encoder, head, head.classnames or (), context=context, position=settings.position)
    return Built(HeadLearner(encoder, prompts, loss), adapters=None)


METHOD = Method(
    name="coop",
    summary="words around the class name, cross-entropy",
    source="Zhou et al. 2022a",
    losses=("cross-entropy",),
    learning_rate=2e-3,
    rate_source="CoOp's release, with AdamW in place of SGD",
    towers=(),
    build=build,
    settings_type=CoOpSettings,
    head_type=ContextHead,
    check=check_settings,
)
