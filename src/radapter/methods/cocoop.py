"""CoCoOp: CoOp's vectors, shifted for each image by a small network that reads the image.

Source: Zhou et al., "Conditional prompt learning for vision-language models", CVPR 2022. h is a network with one
hidden layer of E / 16 units, f image features of unit norm, g the text tower, t the logit scale:

    v_m(x) = v_m + h(f(x))
    W_c(x) = normalise(g([v_1(x) .. v_M(x), NAME_c, "."]))
    logits_c = t f W_c(x)

h starts at random, so training does not start at zero-shot. Every image costs C passes of the text tower, also in
evaluation. radapter's alpha mixes logits with those of the zero-shot head, (1 - alpha) zero-shot + alpha own.
"""

from collections.abc import Mapping, Sequence
from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.losses.batch import full_precision, linear_logits, wide_dtype
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.prompting import (
    Borrowed,
    ContextSettings,
    check_settings,
    prompt_features,
    prompt_tokens,
    starting_context,
)
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead

REDUCTION = 16  # E / hidden width
TEXTS_AT_ONCE = 1024  # prompts that are encoded together


@final
class ConditionalHead(Head):
    """The prompts of `classnames` for each image, mixed with `zero_shot`; `down` and `up` are h."""

    path = ("mix",)
    weight: Tensor
    bias: Tensor
    mix: Tensor

    def __init__(
        self, encoder: DualEncoder, zero_shot: LinearHead, classnames: Sequence[str], *, context: Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("weight", zero_shot.weight.detach().clone())
        self.register_buffer("bias", zero_shot.bias.detach().clone())
        self.register_buffer("mix", self.bias.new_ones(()))
        self.context = nn.Parameter(context)
        width, hidden = encoder.embed_dim, max(1, encoder.embed_dim // REDUCTION)
        self.down = nn.Linear(width, hidden).to(context)
        self.up = nn.Linear(hidden, context.shape[-1]).to(context)
        self._towers = Borrowed(encoder)
        self._tokens = prompt_tokens(encoder, classnames, len(context))

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        rows = LinearHead(tensors["bias"].new_zeros(tensors["bias"].numel(), encoder.embed_dim))
        return cls(encoder, rows, classnames, context=torch.zeros_like(tensors["context"]))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        zero_shot = linear_logits(features, self.weight, self.bias)
        images = max(1, TEXTS_AT_ONCE // max(1, len(self._tokens)))
        own = torch.cat([self._own(chunk) for chunk in torch.split(features, images)])
        return torch.lerp(zero_shot, own.to(zero_shot), self.mix)

    def _own(self, features: Tensor) -> Tensor:
        """The logits (B, C) of the prompts for these images."""
        encoder, (images, classes) = self._towers.encoder, (len(features), len(self._tokens))
        with full_precision(features):
            shifts = self.up(F.relu(self.down(features.to(self.context))))  # (B, D)
        contexts = self.context + shifts[:, None]  # (B, M, D)
        found = prompt_features(
            encoder, self._tokens.repeat(images, 1), contexts.repeat_interleave(classes, 0)
        ).view(images, classes, -1)
        with full_precision(features):
            wide = features.to(wide_dtype(features, found))
            return encoder.logit_scale * torch.einsum("be,bce->bc", wide, found.to(wide))

    def for_classes(self, classnames: Sequence[str], zero_shot: LinearHead) -> Head:
        """The same vectors and network with other names."""
        other = ConditionalHead(self._towers.encoder, zero_shot, classnames, context=self.context.detach())
        own = self.state_dict()
        of_classes = {"weight": zero_shot.weight.detach(), "bias": zero_shot.bias.detach()}
        other.load_state_dict({**own, **of_classes})
        return other.requires_grad_(False)


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the vectors and the network."""
    assert isinstance(settings, ContextSettings)
    encoder.requires_grad_(False)
    context = starting_context(encoder, settings.context)
    prompts = ConditionalHead(encoder, head, head.classnames or (), context=context)
    return Built(HeadLearner(encoder, prompts, loss), adapters=None)


METHOD = Method(
    name="cocoop",
    summary="as coop, shifted by a network for each image",
    source="Zhou et al. 2022b",
    losses=("cross-entropy",),
    learning_rate=2e-3,
    rate_source="CoCoOp's release, with AdamW in place of SGD",
    towers=(),
    build=build,
    settings_type=ContextSettings,
    head_type=ConditionalHead,
    unmergeable="its class embeddings depend on the image",
    check=check_settings,
)
