"""Mask prompts: learned tokens in place of the patches of a crop that show no pixel of its region.

Source: mask prompt tuning, Liang et al., CVPR 2023, section 3.3; `VisualTransformer` in `open_clip_training/src/
open_clip/model.py` of facebookresearch/ov-seg. With P_d the tokens of depth d, T_d the patch tokens that block d
reads and M the patches that touch the region: T_d <- M T_d + (1 - M) P_d. The first block's tokens are replaced as
patch embeddings, before positions and the first norm. The class token and later blocks are left alone.

The tower is not changed: hooks replace the tokens while `encode_image` runs. The pixels of a `PromptedEncoder` have
a fourth channel, 1 on the region, else 0. Prompted regions can therefore use the loaders, learners and measures of
plain ones.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPModel

from radapter.errors import ConfigError, ModelError
from radapter.manifests import check_recorded
from radapter.models import DualEncoder
from radapter.segmentation.crops import Crop, RegionCrops
from radapter.segmentation.training_regions import on_colour
from radapter.storage import write_tensors

DEPTH = 3
_KIND = "radapter mask prompts 1"


@final
class MaskPrompts(nn.Module):
    """The tokens of one image tower, to be trained with both towers frozen.

    Args:
        encoder: Its image tower gives the shapes; a transformers CLIPModel or an open_clip VisionTransformer.
        depth: Number of blocks, from the first, that have tokens of their own.
        seed: Of the initial tokens, normal with standard deviation 0.02; torch's global generator is not used.

    Attributes:
        tokens: (depth, patches, D), the only parameter.

    Raises:
        ModelError: The image tower is of another kind.
        ConfigError: depth is below 1 or above the tower's.
    """

    def __init__(self, encoder: DualEncoder, *, depth: int = DEPTH, seed: int = 0) -> None:
        super().__init__()
        tower = _tower(encoder)
        if not 1 <= depth <= len(tower.blocks):
            raise ConfigError(f"depth must be in [1, {len(tower.blocks)}], the tower's blocks. Got {depth}.")
        side = encoder.image_size // tower.patches.kernel_size[0]
        shape = (depth, side * side, tower.patches.out_channels)
        start = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        self.tokens = nn.Parameter(0.02 * start)

    def encode_image(self, encoder: DualEncoder, pixels: Tensor, masks: Tensor) -> Tensor:
        """Image features (B, E), not normalised, of crops (B, 3, S, S) whose regions are the masks (B, S, S), bool,
        by an encoder of the tokens' shape, adapted or not; gradients reach the tokens."""
        with self.replacing(encoder, masks):
            return encoder.encode_image(pixels)

    def save(self, path: Path) -> None:
        """Writes the tokens as safetensors; a reader sees the old or the new file."""
        write_tensors(path, {"tokens": self.tokens.detach().cpu().contiguous()}, metadata={"kind": _KIND})

    @classmethod
    def load(cls, path: Path, encoder: DualEncoder) -> "MaskPrompts":
        """Reads a file of `save`. Raises ModelError if the file is missing, damaged, no mask prompts, or of another
        tower's shape, and DamagedError if it differs from its record in the manifest beside it."""
        check_recorded(path.parent, path.name)
        try:
            with safe_open(path, framework="pt") as file:
                kind = (file.metadata() or {}).get("kind")
                tokens = file.get_tensor("tokens") if kind == _KIND else None
        except (SafetensorError, OSError) as error:
            raise ModelError(f"mask prompts must be a whole safetensors file. '{path}': {error}.") from error
        if tokens is None:
            raise ModelError(f"mask prompts must be of kind {_KIND!r}. '{path}' is of kind {kind!r}.")
        shape = tuple(tokens.shape)
        if len(shape) != 3 or not shape[0]:
            raise ModelError(f"mask prompts must be (depth, patches, D). '{path}' holds {shape}.")
        prompts = cls(encoder, depth=min(shape[0], len(_tower(encoder).blocks)))
        if shape != prompts.tokens.shape:
            raise ModelError(
                f"mask prompts must fit the image tower, {tuple(prompts.tokens.shape)}. '{path}' holds {shape}. "
                "Give those that were trained for this model."
            )
        prompts.tokens.data = tokens.float()
        return prompts

    @contextmanager
    def replacing(self, encoder: DualEncoder, masks: Tensor) -> Iterator[None]:
        """A block in which these tokens replace the background of the encoder's image tower; `masks` as in
        `encode_image`."""
        tower = _tower(encoder)
        patch = tower.patches.kernel_size[0]
        shown = F.max_pool2d(masks[:, None].float(), patch, stride=patch)  # B, 1, h, w

        def at_patches(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            tokens = self.tokens[0].T.reshape(1, -1, *output.shape[2:]).to(output.dtype)  # 1, D, h, w
            return torch.where(shown.bool(), output, tokens)

        def after_block(depth: int, module: nn.Module, args: Any, output: Tensor) -> Tensor:
            first, patches = output[:, :1], output[:, 1:]
            tokens = self.tokens[depth].to(output.dtype)
            return torch.cat([first, torch.where(shown.flatten(2).mT.bool(), patches, tokens)], 1)

        with ExitStack() as stack:
            stack.callback(tower.patches.register_forward_hook(at_patches).remove)
            for depth, block in enumerate(tower.blocks[: len(self.tokens) - 1], start=1):
                stack.callback(block.register_forward_hook(partial(after_block, depth)).remove)
            yield


@final
class PromptedEncoder(DualEncoder):
    """An encoder, shared and not copied, with mask prompts made for its image tower.

    The encoder itself never trains, and its adapters never drop.
    """

    def __init__(self, encoder: DualEncoder, prompts: MaskPrompts) -> None:
        super().__init__(encoder.name, encoder.module, encoder.towers)
        self.prompts = prompts
        self._shown = True

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of the prompts only."""
        super().train(mode)
        self.module.eval()
        return self

    def image_tower(self) -> tuple[nn.Module | nn.Parameter, ...]:
        """The parts of the image tower, and the prompts, which are the part that trains."""
        return (*super().image_tower(), self.prompts)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(B, 4, S, S), the region in the fourth channel, to (B, E), not normalised."""
        with self.prompts.replacing(self, pixels[:, 3] > 0.5) if self._shown else nullcontext():
            return super().encode_image(pixels[:, :3])

    @contextmanager
    def at(self, alpha: float) -> Iterator[None]:
        """A block in which the encoder is the original one, at alpha 0, or has its prompts, at alpha above 0."""
        self._shown = alpha > 0
        try:
            yield
        finally:
            self._shown = True

    def preprocess(self, image: Image.Image) -> Tensor:
        """Converts an RGBA region, its alpha the mask, to (4, S, S), float32."""
        mask = image.getchannel("A").resize((self.image_size,) * 2, Image.Resampling.NEAREST)
        shown = torch.from_numpy(np.asarray(mask) > 127)
        return torch.cat([super().preprocess(on_colour(image, self.image_mean)), shown[None].float()])


def with_masks(crop: Crop) -> Crop:
    """Appends the mask to crops as a fourth channel, (Q, 4, S, S), for a `PromptedEncoder`."""

    def crop_with_masks(image: Tensor, masks: Tensor) -> RegionCrops:
        crops = crop(image, masks)
        return crops._replace(pixels=torch.cat([crops.pixels, crops.masks[:, None].to(crops.pixels)], 1))

    return crop_with_masks


class _Tower(NamedTuple):
    patches: nn.Conv2d  # gives (B, D, h, w)
    blocks: tuple[nn.Module, ...]  # each gives (B, 1 + h w, D)


def _tower(encoder: DualEncoder) -> _Tower:
    module: Any = encoder.module
    if isinstance(module, CLIPModel):
        vision = module.vision_model
        return _Tower(vision.embeddings.patch_embedding, tuple(vision.encoder.layers))
    # A model of a class cannot exist before its library is imported, so nothing is imported here.
    library = sys.modules.get("open_clip.transformer")
    visual = getattr(module, "visual", None)
    if library and isinstance(visual, library.VisionTransformer) and visual.transformer.batch_first:
        return _Tower(visual.conv1, tuple(visual.transformer.resblocks))
    raise ModelError(
        "mask prompts need the image tower of a transformers CLIPModel or an open_clip VisionTransformer (batch "
        f"first). '{encoder.name}' has {type(visual if visual is not None else module).__name__}. Leave them out."
    )
