"""Mask prompts: learned tokens in place of the patches of a crop that show no pixel of its region.

Source: mask prompt tuning, Liang et al., CVPR 2023, section 3.3; `VisualTransformer` in `open_clip_training/src/
open_clip/model.py` of facebookresearch/ov-seg. With P_d the tokens of depth d, T_d the patch tokens that block d
reads and M the patches that touch the region: T_d <- M T_d + (1 - M) P_d. The first block's tokens are replaced as
patch embeddings, before positions and the first norm. The class token and later blocks are left alone.

The tower is not changed: hooks replace the tokens while `encode_image` runs.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import CLIPModel

from radapter.errors import ConfigError, ModelError
from radapter.manifests import check_recorded
from radapter.models import DualEncoder
from radapter.storage import write_tensors

DEPTH = 3
_KIND = "radapter mask prompts 1"


class _Tower(NamedTuple):
    """`patches` gives (B, D, h, w), a block (B, 1 + h w, D)."""

    patches: nn.Conv2d
    blocks: tuple[nn.Module, ...]


@final
class MaskPrompts(nn.Module):
    """The tokens of one image tower, to be trained with both towers frozen.

    Args:
        encoder: Its image tower gives the shapes; a transformers CLIPModel or an open_clip VisionTransformer.
        depth: Number of blocks, from the first, that have tokens of their own.
        seed: Of the start, normal with standard deviation 0.02; torch's global generator is not used.

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
        """Image features of crops, not normalised; gradients reach the tokens.

        Args:
            encoder: Of the shape that the tokens were made for, adapted or not.
            pixels: (B, 3, S, S), as the tower takes them.
            masks: (B, S, S), bool, the region's pixels.

        Returns:
            (B, E).
        """
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
        if tokens.ndim != 3 or not len(tokens):
            raise ModelError(
                f"mask prompts must be (depth, patches, D). '{path}' holds {tuple(tokens.shape)}."
            )
        prompts = cls(encoder, depth=min(len(tokens), len(_tower(encoder).blocks)))
        if tokens.shape != prompts.tokens.shape:
            raise ModelError(
                f"mask prompts must fit the image tower, {tuple(prompts.tokens.shape)}. '{path}' holds "
                f"{tuple(tokens.shape)}. Give those that were trained for this model."
            )
        prompts.tokens.data = tokens.float()
        return prompts

    @contextmanager
    def replacing(self, encoder: DualEncoder, masks: Tensor) -> Iterator[None]:
        """A block in which these tokens replace the background of the encoder's image tower; `masks` as in
        `encode_image`.
        """
        tower = _tower(encoder)
        patch = tower.patches.kernel_size[0]
        shown = F.max_pool2d(masks[:, None].float(), patch, stride=patch)  # B, 1, h, w

        def at_patches(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            tokens = self.tokens[0].T.reshape(1, -1, *output.shape[2:]).to(output.dtype)  # 1, D, h, w
            return torch.where(shown.bool(), output, tokens)

        def before(depth: int) -> Any:
            def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
                first, patches = output[:, :1], output[:, 1:]
                tokens = self.tokens[depth].to(output.dtype)
                return torch.cat([first, torch.where(shown.flatten(2).mT.bool(), patches, tokens)], 1)

            return hook

        with ExitStack() as stack:
            handles: list[RemovableHandle] = [tower.patches.register_forward_hook(at_patches)]
            for depth, block in enumerate(tower.blocks[: len(self.tokens) - 1], start=1):
                handles.append(block.register_forward_hook(before(depth)))
            for handle in handles:
                stack.callback(handle.remove)
            yield


def _tower(encoder: DualEncoder) -> _Tower:
    module: Any = encoder.module
    if isinstance(module, CLIPModel):
        return _Tower(
            module.vision_model.embeddings.patch_embedding, tuple(module.vision_model.encoder.layers)
        )
    # A model of a class cannot exist before its library is imported, so nothing is imported here.
    library = sys.modules.get("open_clip.transformer")
    visual = getattr(module, "visual", None)
    if (
        library is not None
        and isinstance(visual, library.VisionTransformer)
        and visual.transformer.batch_first
    ):
        return _Tower(visual.conv1, tuple(visual.transformer.resblocks))
    raise ModelError(
        "mask prompts need the image tower of a transformers CLIPModel or an open_clip VisionTransformer (batch "
        f"first). '{encoder.name}' has {type(visual if visual is not None else module).__name__}. Leave them out."
    )
