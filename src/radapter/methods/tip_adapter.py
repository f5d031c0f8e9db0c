"""Tip-Adapter: a cache of the training images' features beside the zero-shot head; Tip-Adapter-F trains its keys.

Source: Zhang et al., "Tip-Adapter: training-free adaption of CLIP for few-shot classification", ECCV 2022. f are
image features of unit norm, W the zero-shot head, F the keys (K, E) and Y the one-hot labels (K, C) of K images:

    logits = W f + alpha_c exp(-beta (1 - F f)) Y        exp per entry

A key is the mean of an image's features over its augmentations, scaled to unit norm. alpha_c and beta have the
release's first values, 1.17 and 1, while keys are trained, and are then searched on ID validation over the release's
grid for ImageNet. The release itself searches on the test set there, and takes the epoch of Tip-Adapter-F by test
accuracy. radapter's alpha scales alpha_c, so alpha 0 is zero-shot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Self, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.losses.batch import full_precision, linear_logits, wide_dtype
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, EncodedImages, EncodedOnce, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead

ALPHA, BETA = 1.17, 1.0  # the release's `init_alpha` and `init_beta` for ImageNet
ALPHAS, BETAS, LOWEST = 20, 200, 0.1  # the release's `search_step`, and the start of both grids


class TipAdapterSettings(EncodedOnce):
    """What users set of Tip-Adapter and Tip-Adapter-F."""

    alpha: Annotated[float, Field(ge=0)] | None = Field(
        None, description="weight of the cache; null is searched on data.id_val"
    )
    beta: Annotated[float, Field(gt=0)] | None = Field(
        None, description="sharpness of the cache; null is searched on data.id_val"
    )
    largest_alpha: float = Field(3.0, gt=LOWEST, description="end of the search of alpha")
    largest_beta: float = Field(7.0, gt=LOWEST, description="end of the search of beta")

    @property
    def needs_validation(self) -> bool:
        """Whether one of the two is searched."""
        return self.alpha is None or self.beta is None


@final
class CacheHead(Head):
    """Rows of `zero_shot`, which stay fixed, and a cache of `images` keys, which `remember` fills."""

    path = ("alpha",)
    weight: Tensor
    bias: Tensor
    alpha: Tensor
    beta: Tensor
    labels: Tensor

    def __init__(self, zero_shot: LinearHead, *, images: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.register_buffer("weight", zero_shot.weight.detach().clone())
        self.register_buffer("bias", zero_shot.bias.detach().clone())
        self.register_buffer("alpha", self.bias.new_tensor(alpha))
        self.register_buffer("beta", self.bias.new_tensor(beta))
        self.register_buffer("labels", torch.zeros(images, dtype=torch.long, device=self.bias.device))
        self.keys = nn.Parameter(self.weight.new_zeros(images, self.weight.shape[1]))

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        bias = tensors["bias"]
        rows = LinearHead(bias.new_zeros(bias.numel(), encoder.embed_dim))
        return cls(rows, images=tensors.get("labels", bias).numel(), alpha=0.0, beta=0.0)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, E) of unit norm."""
        return linear_logits(features, self.weight, self.bias) + self.alpha * self.votes(features, self.beta)

    def votes(self, features: Tensor, beta: Tensor | float) -> Tensor:
        """exp(-beta (1 - F f)) Y, (B, C), float32 or wider."""
        with full_precision(features):
            wide = features.to(wide_dtype(features, self.weight))
            affinities = torch.exp(-beta * (1 - wide @ self.keys.to(wide).T))  # (B, K)
            one_hot = F.one_hot(self.labels, len(self.weight)).to(wide)  # (K, C)
            return affinities @ one_hot


def remember(head: Head, images: EncodedImages) -> None:
    """Fills the cache: an image's key is the mean of its features over V augmentations, scaled to unit norm."""
    assert isinstance(head, CacheHead)
    means = images.features.to(torch.promote_types(images.features.dtype, torch.float32)).mean(0)
    readable = means.isfinite().all(-1)
    keys = F.normalize(means[readable], dim=-1).to(head.weight)
    head.keys = nn.Parameter(keys, requires_grad=head.keys.requires_grad)
    head.labels = images.labels[readable].to(head.labels)


@torch.no_grad()
def search(head: Head, settings: MethodSettings, features: Tensor, labels: Tensor) -> None:
    """Sets alpha and beta to those with the best accuracy on these images; of equal ones, to the smallest beta, then
    the smallest alpha. A value that the settings give stays."""
    assert isinstance(head, CacheHead)
    assert isinstance(settings, TipAdapterSettings)
    features, labels = features.to(head.weight.device), labels.to(head.weight.device)
    rows = linear_logits(features, head.weight, head.bias)
    best = -1
    for beta in grid(settings.beta, settings.largest_beta, BETAS):
        votes = head.votes(features, beta)
        for alpha in grid(settings.alpha, settings.largest_alpha, ALPHAS):
            right = int(((rows + alpha * votes).argmax(-1) == labels).sum())
            if right > best:
                best = right
                head.alpha.fill_(alpha)
                head.beta.fill_(beta)


def grid(given: float | None, largest: float, steps: int) -> list[float]:
    """The values to try: the release's, from `LOWEST` to just below `largest`, or the given one alone."""
    if given is not None:
        return [given]
    return [number * (largest - LOWEST) / steps + LOWEST for number in range(steps)]


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    train_keys: bool,
) -> Built:
    """An empty cache, whose keys are trained if `train_keys` is True."""
    assert isinstance(settings, TipAdapterSettings)
    encoder.requires_grad_(False)
    alpha = ALPHA if settings.alpha is None else settings.alpha
    cache = CacheHead(head, images=0, alpha=alpha, beta=settings.beta or BETA)
    return Built(HeadLearner(encoder, cache, loss, train_head=train_keys), adapters=None)


TRAINED = Method(
    name="tip-adapter-f",
    summary="cache of training features, its keys trained",
    source="Zhang et al. 2022",
    losses=("cross-entropy",),
    learning_rate=1e-3,
    rate_source="Tip-Adapter's release",
    towers=(),
    build=partial(build, train_keys=True),
    settings_type=TipAdapterSettings,
    head_type=CacheHead,
    start=remember,
    choose=search,
    unmergeable="the cache votes by an exponential of cosines",
    counted="E per image",
)
FROZEN = replace(
    TRAINED,
    name="tip-adapter",
    runs="tip-adapter",
    summary="cache of training features, nothing trained",
    learning_rate=0.0,
    rate_source="nothing is trained",
    build=partial(build, train_keys=False),
    counted="",
)
