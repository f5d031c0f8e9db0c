"""One dual encoder over the image-text models of transformers, open_clip and timm.

`DualEncoder` owns the library's own module and never changes what it is: PEFT injects adapters into `module` in
place, and the encoder then runs the adapted towers. What differs between libraries is behind `Towers`, one file
a library; `Towers` holds no module, so that a copy of the module can be run through the same code.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from radapter.errors import ModelError

Tokenizer = Callable[[list[str]], Tensor]
"""N texts to (N, L) int64 token ids."""

Channels = tuple[float, float, float]
"""One value for each of red, green and blue, of pixels in [0, 1]."""


class Towers(Protocol):
    """How one library's module is fed and read.

    library: "transformers", "open_clip" or "timm". embed_dim: E. image_size: height and width that `preprocess`
    gives. context_length: L. vocab_size and eos_id: of the text tower; 0 where there is none.
    """

    library: str
    embed_dim: int
    image_size: int
    image_mean: Channels
    image_std: Channels
    context_length: int
    vocab_size: int
    eos_id: int

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E), not normalised."""

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        """(B, L) to (B, E), not normalised."""

    def preprocess(self, image: Image.Image) -> Tensor:
        """An image as the library prepares it for evaluation: (3, H, W), float32."""

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """N texts to (N, L), int64."""

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        """The library's own switch of gradient checkpointing, for both towers."""

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each of N texts, none of them cut."""

    def unknown_id(self) -> int | None:
        """The id of words that the vocabulary lacks; None where every text is read."""

    def image_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """What the image tower consists of, its projection included."""

    def text_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """What the text tower consists of, its projection included; empty where there is none."""

    def image_width(self, module: nn.Module) -> int:
        """D, the width of the image tower's last features before their projection."""


class DualEncoder(nn.Module):
    """An image tower and a text tower into one space, whatever library they come from.

    Args:
        name: what `load` was asked for.
        module: the library's own model; its parameters are this module's only ones.
        towers: how to run it.

    Attributes:
        module: what `peft.get_peft_model` wraps; adapters injected there act here.
    """

    def __init__(self, name: str, module: nn.Module, towers: Towers) -> None:
        super().__init__()
        self.name = name
        self.module = module
        self.towers = towers
        self.training = module.training
        self.revision = 0

    def weights_changed(self) -> None:
        """Reports that weights may have changed, so that features kept of them are checked before they are used."""
        self.revision += 1

    @property
    def library(self) -> str:
        """The library that defines the module: "transformers", "open_clip" or "timm"."""
        return self.towers.library

    @property
    def embed_dim(self) -> int:
        """E, the width of the joint space."""
        return self.towers.embed_dim

    @property
    def image_size(self) -> int:
        """Height and width of preprocessed images, in pixels."""
        return self.towers.image_size

    @property
    def image_width(self) -> int:
        """D, the width of a transformer, or the channels after the last stage of a convolutional image tower.

        It is 768 for ViT-B, 1024 for ViT-L and 2048 for RN50. Default learning rates depend on it.
        """
        return self.towers.image_width(self.module)

    @property
    def image_mean(self) -> Channels:
        """What `preprocess` subtracts from pixels in [0, 1]."""
        return self.towers.image_mean

    @property
    def image_std(self) -> Channels:
        """What `preprocess` then divides by."""
        return self.towers.image_std

    @property
    def context_length(self) -> int:
        """L, tokens per text; 0 where there is no text tower."""
        return self.towers.context_length

    @property
    def logit_scale(self) -> Tensor:
        """The factor on cosines, a scalar, already exponentiated; 1 where there is no text tower."""
        scale = getattr(self.module, "logit_scale", None)
        return torch.ones(()) if scale is None else scale.exp().reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """What SigLIP adds to scaled cosines, a scalar; None for models without one."""
        bias = getattr(self.module, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Image features, not normalised.

        Args:
            pixels: as `preprocess` gives them, (B, 3, H, W); cast to the weights' dtype.

        Returns:
            (B, E).
        """
        return self.towers.encode_image(self.module, pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text features, not normalised.

        Args:
            tokens: as `tokenize` gives them, (B, L), int64.

        Returns:
            (B, E).

        Raises:
            ModelError: the model has no text tower.
        """
        return self.towers.encode_text(self.module, tokens)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Both towers in one call, which is what the hooks of distributed wrappers see.

        Args:
            images: (B, 3, H, W).
            tokens: (U, L); U need not be B.

        Returns:
            Image features (B, E) and text features (U, E), unit norm.
        """
        return (
            F.normalize(self.encode_image(images), dim=-1),
            F.normalize(self.encode_text(tokens), dim=-1),
        )

    def preprocess(self, image: Image.Image) -> Tensor:
        """An image as the model's library prepares it for evaluation, computed with Pillow.

        Returns:
            (3, image_size, image_size), float32.
        """
        return self.towers.preprocess(image)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts as token ids, cut or padded to the context.

        Args:
            texts: N texts.

        Returns:
            (N, L), int64.

        Raises:
            ModelError: the tokenizer's files are missing (they are looked for on first use), or the model has no
                text tower.
        """
        return self.towers.tokenize(texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each of N texts uncut, with those of begin and end: above `context_length` `tokenize` cuts.

        Raises:
            ModelError: the tokenizer's files are missing, it cannot say how long an uncut text is, or the model has
                no text tower.
        """
        return self.towers.token_counts(texts)

    def unknown_id(self) -> int | None:
        """The token id of words that the vocabulary lacks; None where the tokenizer can read every word.

        Raises:
            ModelError: the tokenizer's files are missing, or the model has no text tower.
        """
        return self.towers.unknown_id()

    def image_tower(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """The parts of the image tower, its projection included."""
        return self.towers.image_parts(self.module)

    def text_tower(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """The parts of the text tower, its projection included; empty where there is none."""
        return self.towers.text_parts(self.module)

    @contextmanager
    def checkpointing(self, towers: Sequence[str] = ("image", "text")) -> Iterator[None]:
        """A block in which blocks keep their inputs alone, and are run again in the backward pass.

        The backward pass must be inside too, and inside `coins.installed`, so that adapters drop alike both times.

        Args:
            towers: "image", "text": those that must have the switch; the others are switched where they have it.

        Raises:
            ModelError: one of them has none: its library's switch does nothing there.
        """
        self.towers.set_checkpointing(self.module, True)
        try:
            for name, parts in (("image", self.image_tower()), ("text", self.text_tower())):
                if name in towers and parts and not _checkpoints(parts):
                    raise ModelError(
                        f"train.gradient_checkpointing needs towers with a switch for it. The {name} tower of "
                        f"'{self.name}', {type(parts[0]).__name__}, has none. Leave it out; train.chunk_size saves "
                        "memory with every tower."
                    )
            yield
        finally:
            self.towers.set_checkpointing(self.module, False)


def _checkpoints(parts: Sequence[nn.Module | nn.Parameter]) -> bool:
    """Whether the switch acted on a tower: libraries pass over, without an error, what cannot be switched."""
    modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    # transformers calls it gradient_checkpointing, open_clip and timm grad_checkpointing
    return any(
        getattr(module, name, False)
        for module in modules
        for name in ("gradient_checkpointing", "grad_checkpointing")
    )
