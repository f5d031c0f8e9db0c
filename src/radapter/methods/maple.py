"""MaPLe: learned vectors in the first blocks of both towers; those of the image tower are projections of the text's.

Source: Khattak et al., "MaPLe: multi-modal prompt learning", CVPR 2023. P_j are M vectors of the text tower's width
and Q_j a linear layer to the image tower's width, for each of the first J blocks, j = 0 .. J - 1:

- Text: P_0 takes the place of the first M words of "a photo of a NAME.". Before block j + 1, P_j takes their place.
- Image: Q_0(P_0) is appended after the patches, before the first LayerNorm. Before block j + 1, Q_j(P_j) replaces
  the appended tokens. The feature is read at the class token.

P_0 starts as the embeddings of the words; for M above 4, and for j > 0, vectors start at random. Training does not
start at zero-shot. radapter's alpha mixes logits with those of zero-shot, (1 - alpha) zero-shot + alpha own, so an
alpha between 0 and 1 costs two passes of the image tower.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Self, final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from radapter.adapter import block_names
from radapter.errors import ConfigError, ModelError
from radapter.losses import FeatureLoss
from radapter.losses.batch import full_precision, linear_logits, wide_dtype
from radapter.methods.learner import HeadLearner
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.prompting import STD, WORDS, Borrowed, Prompts, prompt_features, starting_context
from radapter.models import DualEncoder
from radapter.zeroshot import Head, LinearHead, evaluating

DEPTH = 9  # the release's J for base to new classes


class MapleSettings(MethodSettings):
    """What users set of MaPLe."""

    vectors: int = Field(2, ge=1, description="M, the number of learned vectors in each block")
    depth: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="J, the number of blocks with vectors; null is 9, or all blocks of the shorter tower",
    )


@final
class MapleHead(Head):
    """The prompted towers as a classifier of `classnames`, mixed with `zero_shot`.

    `prompts` is (J, M, D) of the text tower; `projections` has J layers to the image tower's width.
    """

    path = ("mix",)
    changes_features = True
    weight: Tensor
    bias: Tensor
    mix: Tensor

    def __init__(
        self,
        encoder: DualEncoder,
        zero_shot: LinearHead,
        classnames: Sequence[str],
        *,
        prompts: Tensor,
        image_width: int,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", zero_shot.weight.detach().clone())
        self.register_buffer("bias", zero_shot.bias.detach().clone())
        self.register_buffer("mix", self.bias.new_ones(()))
        depth, vectors, width = prompts.shape
        self.prompts = nn.Parameter(prompts)
        self.projections = nn.ModuleList(nn.Linear(width, image_width) for _ in range(depth)).to(prompts)
        self._towers = Borrowed(encoder)
        self._texts = Prompts.after_words(encoder, classnames, vectors, WORDS)
        self._rows: Tensor | None = None

    @classmethod
    def sized(cls, tensors: Mapping[str, Tensor], encoder: DualEncoder, classnames: Sequence[str]) -> Self:
        """See `Head`."""
        rows = LinearHead(tensors["bias"].new_zeros(tensors["bias"].numel(), encoder.embed_dim))
        width = len(tensors["projections.0.weight"])
        prompts = torch.zeros_like(tensors["prompts"])
        return cls(encoder, rows, classnames, prompts=prompts, image_width=width)

    def encode(self, encoder: DualEncoder, pixels: Tensor) -> Tensor:
        """Features (B, 2, E), not normalised: those of the plain and of the prompted image tower. A tower whose
        logits have no weight does not run, and gives those of the other."""
        found = []
        if self.mix != 1:
            found.append(encoder.encode_image(pixels))
        if self.mix != 0:
            vectors = [
                project(vector) for project, vector in zip(self.projections, self.prompts, strict=True)
            ]
            with _image_prompts(encoder, vectors):
                found.append(encoder.encode_image(pixels))
        return torch.stack([found[0], found[-1]], 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, C), float32 or wider, of features (B, 2, E) of unit norm."""
        plain, prompted = features.unbind(1)
        zero_shot = linear_logits(plain, self.weight, self.bias)
        rows = self.rows() if self._rows is None else self._rows
        with full_precision(features):
            own = prompted.to(wide_dtype(prompted, rows)) @ rows.to(wide_dtype(prompted, rows)).T
        return torch.lerp(zero_shot, own.to(zero_shot), self.mix)

    def rows(self) -> Tensor:
        """The prompted text tower's classifier (C, E), the temperature included."""
        encoder, texts = self._towers.encoder, self._texts
        with _deep_text_prompts(encoder, self.prompts, texts.first):
            return encoder.logit_scale * prompt_features(encoder, texts.tokens, self.prompts[0])

    @torch.no_grad()
    def prepared(self) -> Head:
        """A copy that has encoded its texts."""
        other = self.copied()
        with evaluating(self._towers.encoder):
            other._rows = self.rows()
        return other

    def for_classes(self, classnames: Sequence[str], zero_shot: LinearHead) -> Head:
        """The same vectors with other names."""
        width = len(self.state_dict()["projections.0.weight"])
        other = MapleHead(
            self._towers.encoder, zero_shot, classnames, prompts=self.prompts.detach(), image_width=width
        )
        rows = {"weight": zero_shot.weight.detach(), "bias": zero_shot.bias.detach()}
        other.load_state_dict({**self.state_dict(), **rows})
        return other.requires_grad_(False)


@contextmanager
def _image_prompts(encoder: DualEncoder, vectors: Sequence[Tensor]) -> Iterator[None]:
    """A block in which vectors (M, D), one for each of the first blocks, are tokens of the image tower."""
    count = len(vectors[0])

    def appended(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tokens = arguments[0]
        return torch.cat([tokens, vectors[0].to(tokens).expand(len(tokens), -1, -1)], 1), *arguments[1:]

    hooks = [image_entrance(encoder).register_forward_pre_hook(appended)]
    hooks += _replacing(encoder, "image", vectors, lambda length: length - count)
    with _removed(hooks):
        yield


@contextmanager
def _deep_text_prompts(encoder: DualEncoder, prompts: Tensor, first: int) -> Iterator[None]:
    """A block in which P_1 .. P_(J - 1) replace the text tower's tokens from position `first` on, before blocks."""
    with _removed(_replacing(encoder, "text", list(prompts), lambda length: first)):
        yield


def _replacing(
    encoder: DualEncoder, tower: str, vectors: Sequence[Tensor], place: Callable[[int], int]
) -> list[RemovableHandle]:
    """Hooks that replace tokens before block 1 of a tower, counted from 0, by vectors[1], and so on."""
    names = block_names(encoder.module, (tower,))[: len(vectors)]

    def hook(block: nn.Module, own: Tensor) -> RemovableHandle:
        is_sequence_first = any(
            isinstance(part, nn.MultiheadAttention) and not part.batch_first for part in block.modules()
        )

        def replaced(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            tokens = arguments[0].transpose(0, 1) if is_sequence_first else arguments[0]  # (B, L, D)
            start, end = place(tokens.shape[1]), place(tokens.shape[1]) + len(own)
            middle = own.to(tokens).expand(len(tokens), -1, -1)
            tokens = torch.cat([tokens[:, :start], middle, tokens[:, end:]], 1)
            return tokens.transpose(0, 1) if is_sequence_first else tokens, *arguments[1:]

        return block.register_forward_pre_hook(replaced)

    blocks = [encoder.module.get_submodule(name) for name in names]
    return [hook(block, own) for block, own in list(zip(blocks, vectors, strict=True))[1:]]


@contextmanager
def _removed(hooks: Sequence[RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def image_entrance(encoder: DualEncoder) -> nn.Module:
    """The LayerNorm before the blocks of a CLIP ViT. Raises ModelError for other image towers."""
    (tower, *_) = encoder.image_tower()
    if encoder.library == "transformers":
        entrance = getattr(tower, "pre_layrnorm", None)
    else:
        entrance = getattr(tower, "ln_pre", None)
        if getattr(tower, "attn_pool", None) is not None or getattr(tower, "pool_type", "tok") != "tok":
            entrance = None
    if not isinstance(entrance, nn.Module):
        raise ModelError(
            f"MaPLe needs the image tower of CLIP, a ViT that is read at its class token. '{encoder.name}' has "
            f"{type(tower).__name__}. Use coop, which needs no image tower of a kind."
        )
    return entrance


def block_count(encoder: DualEncoder) -> int:
    """The number of blocks of the shorter tower. Raises SiteError if one has none."""
    return min(len(block_names(encoder.module, (tower,))) for tower in ("image", "text"))


def check(encoder: DualEncoder, settings: MethodSettings) -> None:
    """Raises ModelError, SiteError or ConfigError if the towers do not fit the method or its settings."""
    assert isinstance(settings, MapleSettings)
    image_entrance(encoder)
    Prompts.after_words(encoder, ("x",), settings.vectors, WORDS)
    blocks = block_count(encoder)
    if settings.depth is not None and settings.depth > blocks:
        raise ConfigError(
            f"method.depth must be null or at most {blocks}, the blocks of the shorter tower of '{encoder.name}'. "
            f"Got {settings.depth}."
        )


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains only the vectors and their projections."""
    assert isinstance(settings, MapleSettings)
    check(encoder, settings)
    encoder.requires_grad_(False)
    words = starting_context(encoder, WORDS)
    count = settings.vectors
    first = words[:count] if count <= len(words) else torch.randn(count, words.shape[1]).to(words) * STD
    depth = min(DEPTH, block_count(encoder)) if settings.depth is None else settings.depth
    deeper = torch.randn(depth - 1, *first.shape).to(first) * STD
    prompts = torch.cat([first[None], deeper])
    prompted = MapleHead(
        encoder, head, head.classnames or (), prompts=prompts, image_width=encoder.image_width
    )
    return Built(HeadLearner(encoder, prompted, loss), adapters=None)


METHOD = Method(
    name="maple",
    summary="vectors in the blocks of both towers, cross-entropy",
    source="Khattak et al. 2023",
    losses=("cross-entropy",),
    learning_rate=3.5e-3,
    rate_source="MaPLe's release, with AdamW in place of SGD",
    towers=(),
    build=build,
    settings_type=MapleSettings,
    head_type=MapleHead,
    unmergeable="its vectors are tokens of both towers",
    check=check,
)
