"""CLIP-Adapter: a small MLP on the image features, mixed with them, under the fixed zero-shot head.

Source: Gao et al., "CLIP-Adapter: better vision-language models with feature adapters", 2021 (arXiv 2110.04544). f
are image features of unit norm, W the zero-shot head, r the residual ratio:

    A(f) = ReLU(W2 ReLU(W1 f))        logits = W normalise(r A(f) + (1 - r) f)

The release adapts features before normalisation. A has no biases, so A(c f) = c A(f) for c > 0, and both give the
same logits. radapter's alpha scales the ratio: r = alpha * ratio, so alpha 0 is zero-shot.
"""

from collections.abc import Mapping, Sequence
from typing import Self, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.losses.batch import full_precision, linear_logits, wide_dtype
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, EncodedOnce, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead

REDUCTION = 4  # E / hidden width


class ClipAdapterSettings(EncodedOnce):
    """What users set of CLIP-Adapter."""

    ratio: float = Field(
        default=0.2, gt=0, le=1, description="residual ratio: the share of the adapted features at alpha 1"
    )


@final
class AdapterHead(Head):
    """The adapter (`down` is W1, `up` is W2) under the rows of `zero_shot`, which stay fixed."""

    path = ("ratio",)
    weight: Tensor
    bias: Tensor
    ratio: Tensor

    def __init__(self, zero_shot: LinearHead, *, hidden: int, ratio: float) -> None:
        super().__init__()
        self.register_buffer("weight", zero_shot.weight.detach().clone())
        self.register_buffer("bias", zero_shot.bias.detach().clone())
        self.register_buffer("ratio", zero_shot.bias.new_tensor(ratio))
        width, place = self.weight.shape[1], {"device": self.weight.device, "dtype": self.weight.dtype}
        self.down = nn.Linear(width, hidden, bias=False, **place)
        self.up = nn.Linear(hidden, width, bias=False, **place)

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        bias, hidden = tensors["bias"], tensors.get("down.weight", tensors["bias"])
        rows = LinearHead(bias.new_zeros(bias.numel(), encoder.embed_dim))
        return cls(rows, hidden=len(hidden), ratio=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        with full_precision(features):
            wide = features.to(wide_dtype(features, self.weight))
            adapted = F.relu(self.up(F.relu(self.down(wide))))
            mixed = F.normalize(torch.lerp(wide, adapted, self.ratio), dim=-1)
            return linear_logits(mixed, self.weight, self.bias)

    def for_classes(self, classnames: Sequence[str], zero_shot: LinearHead) -> Head:
        """The same adapter under the rows of other classes."""
        other = self.copied()
        other.weight, other.bias = zero_shot.weight.detach().clone(), zero_shot.bias.detach().clone()
        return other


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the adapter."""
    assert isinstance(settings, ClipAdapterSettings)
    encoder.requires_grad_(False)
    adapter = AdapterHead(head, hidden=max(1, encoder.embed_dim // REDUCTION), ratio=settings.ratio)
    return Built(HeadLearner(encoder, adapter, loss), adapters=None)


METHOD = Method(
    name="clip-adapter",
    summary="MLP on the image features, cross-entropy",
    source="Gao et al. 2021",
    losses=("cross-entropy",),
    learning_rate=2e-3,
    rate_source="CLIP-Adapter's release, with AdamW in place of SGD",
    towers=(),
    build=build,
    settings_type=ClipAdapterSettings,
    head_type=AdapterHead,
    unmergeable="an MLP stands between the image tower and the classifier",
)
