"""One dual encoder over the image-text models of transformers, open_clip and timm, and what it needs of a library.

`DualEncoder` owns the library's own module and never replaces it: PEFT injects adapters into `module` in place, and
the encoder then runs the adapted towers. `Towers` hides the differences between libraries. It holds no module, so a
copy of the module can run through the same code. A new family of towers is one file with its `Towers` and the names
of `Library`, and one entry in `loading.LIBRARIES`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from radapter.adapter.sites import Family
from radapter.errors import ModelError
from radapter.models.preparation import Preparation
from radapter.models.tokenizing import LazyTokenizer, TokenizerSpec

Channels = tuple[float, float, float]  # of red, green and blue, for pixels in [0, 1]
TowerParts = tuple[nn.Module | nn.Parameter, ...]  # with its projection; empty if there is no such tower


class Towers(Protocol):
    """Runs one library's module. The fields are `DualEncoder`'s, and the text tower's `vocab_size` and `eos_id`."""

    library: str
    embed_dim: int
    image_size: int
    image_mean: Channels
    image_std: Channels
    context_length: int
    vocab_size: int
    eos_id: int
    tokenizer: LazyTokenizer

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E), not normalised."""

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        """(B, L) to (B, E), not normalised."""

    def preprocess(self, image: Image.Image) -> Tensor:
        """Prepares an image as the library does for evaluation: (3, H, W), float32."""

    def preparation(self) -> Preparation:
        """What `preprocess` does, as numbers. Raises ModelError if it is not in that form."""

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        """Switches gradient checkpointing of both towers by the library's own function."""

    def image_parts(self, module: nn.Module) -> TowerParts:
        """The image tower."""

    def text_parts(self, module: nn.Module) -> TowerParts:
        """The text tower."""

    def image_width(self, module: nn.Module) -> int:
        """D, the width of the image tower's last features before their projection."""


class DualEncoder(nn.Module):
    """An image tower and a text tower into one space, whatever library they come from."""

    def __init__(self, name: str, module: nn.Module, towers: Towers) -> None:
        super().__init__()
        self.name = name  # the name given to `load`
        self.module = module  # the library's own model; adapters that PEFT injects there act here
        self.towers = towers
        self.library = towers.library  # "transformers", "open_clip" or "timm"
        self.embed_dim = towers.embed_dim  # E, the width of the joint space
        self.image_size = towers.image_size  # height and width of preprocessed images, in pixels
        self.context_length = towers.context_length  # L, tokens per text; 0 without a text tower
        # `preprocess` subtracts the mean from pixels in [0, 1] and divides by std
        self.image_mean, self.image_std = towers.image_mean, towers.image_std
        self.training = module.training
        self.revision = 0  # the number of calls of `weights_changed`

    def weights_changed(self) -> None:
        """Reports that weights may have changed, so that cached features are checked before they are used."""
        self.revision += 1

    @property
    def image_width(self) -> int:
        """D, or the channels after a convolutional tower's last stage; default learning rates depend on it."""
        return self.towers.image_width(self.module)

    @property
    def logit_scale(self) -> Tensor:
        """The factor on cosines, a scalar, already exponentiated; 1 without a text tower."""
        scale = getattr(self.module, "logit_scale", None)
        return torch.ones(()) if scale is None else scale.exp().reshape(())

    @property
    def logit_bias(self) -> Tensor | None:
        """SigLIP's addend to scaled cosines, a scalar; None for models without one."""
        bias = getattr(self.module, "logit_bias", None)
        return None if bias is None else bias.reshape(())

    def scale_parameters(self) -> list[nn.Parameter]:
        """The parameters of `logit_scale` and `logit_bias`, as far as there are any."""
        found = (getattr(self.module, name, None) for name in ("logit_scale", "logit_bias"))
        return [parameter for parameter in found if isinstance(parameter, nn.Parameter)]

    def train_scale(self, *, bias: bool) -> None:
        """Makes the temperature trainable, and with `bias` the logit bias."""
        for parameter in self.scale_parameters()[: 2 if bias else 1]:
            parameter.requires_grad_(True)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Image features (B, E), not normalised, of preprocessed pixels (B, 3, H, W), cast to the weights' dtype."""
        return self.towers.encode_image(self.module, pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Text features (B, E), not normalised, of token ids (B, L). Raises ModelError without a text tower."""
        return self.towers.encode_text(self.module, tokens)

    def forward(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Unit-norm features (B, E) and (U, E) in one call, which the hooks of distributed wrappers need."""
        return (F.normalize(self.encode_image(images), dim=-1), F.normalize(self.encode_text(tokens), dim=-1))

    def preprocess(self, image: Image.Image) -> Tensor:
        """Prepares an image as the library does for evaluation: (3, image_size, image_size), float32."""
        return self.towers.preprocess(image)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids (N, L), int64, of N texts, cut or padded to the context. Raises ModelError if the tokenizer's
        files, which are read on first use, are missing, or there is no text tower."""
        return self.towers.tokenizer(texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each of N uncut texts, begin and end included; `tokenize` cuts texts above
        `context_length`. Raises ModelError as `tokenize`, or if the tokenizer cannot count uncut tokens."""
        return self.towers.tokenizer.token_counts(texts)

    def unknown_id(self) -> int | None:
        """The id of words that the vocabulary lacks; None if all can be read. Raises ModelError as `tokenize`."""
        return self.towers.tokenizer.unknown_id()

    def image_tower(self) -> TowerParts:
        """The parts of the image tower, its projection included."""
        return self.towers.image_parts(self.module)

    def text_tower(self) -> TowerParts:
        """The parts of the text tower, its projection included; empty if there is none."""
        return self.towers.text_parts(self.module)

    @contextmanager
    def checkpointing(self, towers: Sequence[str] = ("image", "text")) -> Iterator[None]:
        """A block in which the towers' blocks keep only their inputs and run again in the backward pass.

        The backward pass must be inside too, and inside `use_coins`, so that adapters drop the same samples both
        times. Raises ModelError if one of `towers` has no switch; other towers are switched if they have one.
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


def _checkpoints(parts: TowerParts) -> bool:
    modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    # transformers calls it gradient_checkpointing, open_clip and timm grad_checkpointing
    names = ("gradient_checkpointing", "grad_checkpointing")
    return any(getattr(module, name, False) for module in modules for name in names)


Batch = tuple[Tensor, Tensor | None]  # images (B, 3, H, W), and token ids (B, L) or None without a text tower
Features = dict[str, Tensor]  # (B, E) by tower, "image" and, if there is one, "text"


class Request(NamedTuple):
    """The arguments of `load`; see there."""

    name: str
    dtype: torch.dtype = torch.float32
    allow_download: bool = False
    tokenizer: TokenizerSpec | None = None
    seed: int = 0


class Library(Protocol):
    """A module that loads, describes and writes the models of one library.

    NAME is the format of `export`; SCHEME:REST names its models; FAMILY says where their adapter sites are.
    """

    NAME: str
    SCHEME: str
    FAMILY: Family

    def load_named(self, rest: str, request: Request) -> DualEncoder | Path:
        """Loads SCHEME:REST, in evaluation mode, or returns the local folder that holds it."""

    def owns(self, folder: Path) -> bool:
        """Whether a folder is one of its models."""

    def load_folder(self, folder: Path, request: Request) -> DualEncoder:
        """Loads such a folder, in evaluation mode."""

    def write(self, plain: nn.Module, towers: Any, folder: Path) -> bool:
        """Writes a merged module with these `Towers`; returns whether the folder has the tokenizer."""

    def features(self, folder: Path, batch: Batch, dtype: torch.dtype) -> Features:
        """The features of a folder that the library alone has loaded, with none of radapter's loaders."""
