"""Dual encoders of transformers: CLIPModel, SiglipModel and Siglip2Model, from a folder or the hub's cache.

Three defaults of transformers are overridden here:
- A folder reloads in the dtype it was saved in, so the dtype is always given.
- The default image processor uses torchvision if present and Pillow otherwise, with pixels differing by 0.015, so
  the Pillow backend is requested.
- Missing weights are only logged there; here they are an error.
"""

import logging
import math
import os
import pickle
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    CLIPImageProcessorPil,
    CLIPModel,
    GemmaTokenizer,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipImageProcessorPil,
    SiglipModel,
)
from transformers.utils import logging as transformers_logging

from radapter.errors import ModelError, did_you_mean
from radapter.models.building import PREFIXES, described, prefix_note, without_prefixes
from radapter.models.encoder import Channels, DualEncoder
from radapter.models.folders import LARGEST_SIDE, read_config, reading, shards_of
from radapter.models.tokenizing import LazyTokenizer, TokenizerSpec, given_tokenizer, tokenizer_from_folder
from radapter.storage import load_weights

logger = logging.getLogger(__name__)

MODELS: dict[str, type[nn.Module]] = {"clip": CLIPModel, "siglip": SiglipModel, "siglip2": Siglip2Model}
_PROCESSORS = {
    "clip": CLIPImageProcessorPil,
    "siglip": SiglipImageProcessorPil,
    "siglip2": Siglip2ImageProcessorPil,
}
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class HfTowers:
    """Runs a transformers dual encoder.

    Args:
        config: The model's configuration.
        processor: Its image processor, of the Pillow backend.
        tokenizer: Its tokenizer.
    """

    library = "transformers"

    def __init__(self, config: Any, processor: Any, tokenizer: LazyTokenizer) -> None:
        text, vision = config.text_config, config.vision_config
        self.config = config
        self.processor = processor
        self.tokenizer = tokenizer
        self.embed_dim = config.projection_dim if config.model_type == "clip" else text.projection_size
        self.image_mean = channels(processor.image_mean)
        self.image_std = channels(processor.image_std)
        self.context_length: int = text.max_position_embeddings
        self.vocab_size: int = text.vocab_size
        # An eos id of 2 is a legacy mark: transformers then pools at the largest id, which is the vocabulary's last.
        self.eos_id: int = text.vocab_size - 1 if text.eos_token_id in (2, None) else text.eos_token_id
        self.patch_size: int | None = None
        self._prepare = processor
        if config.model_type == "siglip2":
            self.patch_size = vision.patch_size
            self.image_size = math.isqrt(processor.max_num_patches) * vision.patch_size
            # Its own processor keeps each image's shape, which a batch (B, 3, H, W) cannot: images are made square,
            # as SigLIP's fixed-size processor does.
            self._prepare = SiglipImageProcessorPil(
                size={"height": self.image_size, "width": self.image_size},
                resample=processor.resample,
                image_mean=processor.image_mean,
                image_std=processor.image_std,
            )
        else:
            self.image_size = vision.image_size

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E), not normalised."""
        inputs = {"pixel_values": pixels} if self.patch_size is None else patches_of(pixels, self.patch_size)
        return pooled(module.get_image_features(**inputs))  # type: ignore[operator]

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        """(B, L) to (B, E), not normalised. Padding needs no mask: CLIP is causal, SigLIP was trained without."""
        return pooled(module.get_text_features(input_ids=tokens))  # type: ignore[operator]

    def preprocess(self, image: Image.Image) -> Tensor:
        """(3, H, W), float32, by the folder's own image processor."""
        pixels: Tensor = self._prepare(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        """Switches every layer, by the name of the function in this version of transformers."""
        new = hasattr(module, "activation_checkpointing_enable")
        name = f"{'activation' if new else 'gradient'}_checkpointing_{'enable' if enabled else 'disable'}"
        if not enabled:
            getattr(module, name)()
            return
        # Re-entrant checkpointing gives a block whose input has no gradient none: all blocks of a frozen base. So
        # transformers asks embeddings for gradients, which nobody needs here and which outlast the switch.
        getattr(module, name)({"use_reentrant": False})
        module.disable_input_require_grads()  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """The vision model and, for CLIP, its projection."""
        return _children(module, "vision_model", "visual_projection")

    def text_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """The text model and, for CLIP, its projection."""
        return _children(module, "text_model", "text_projection")

    def image_width(self, module: nn.Module) -> int:
        """D of the vision model."""
        width: int = self.config.vision_config.hidden_size
        return width


def patches_of(pixels: Tensor, patch_size: int) -> dict[str, Tensor]:
    """The inputs of Siglip2Model in place of pixels: patches, their mask, and the numbers of rows and columns.

    Args:
        pixels: (B, 3, H, W); H and W multiples of the patch.
        patch_size: P, pixels.

    Returns:
        pixel_values (B, N, 3 P P) with N = H W / P P, row by row, channels last; pixel_attention_mask (B, N), all
        ones; spatial_shapes (B, 2).

    Raises:
        ValueError: H or W is not a multiple of the patch.
    """
    batch, _, height, width = pixels.shape
    down, across = height // patch_size, width // patch_size
    if (down * patch_size, across * patch_size) != (height, width):
        raise ValueError(f"height and width must be multiples of {patch_size}. Got {height} x {width}.")
    grid = pixels.reshape(batch, -1, down, patch_size, across, patch_size)
    patches = grid.permute(0, 2, 4, 3, 5, 1).reshape(batch, down * across, -1)  # B, N, P P 3
    return {
        "pixel_values": patches,
        "pixel_attention_mask": torch.ones(patches.shape[:2], dtype=torch.int32, device=pixels.device),
        "spatial_shapes": torch.tensor([[down, across]], device=pixels.device).expand(batch, 2),
    }


def load_folder(
    folder: Path, *, name: str, dtype: torch.dtype, tokenizer: TokenizerSpec | None = None
) -> DualEncoder:
    """Loads a transformers dual encoder from a local folder, in evaluation mode.

    Raises:
        ModelError: The folder's model is not in `MODELS`, or weights are missing, truncated or do not fit.
        UnsafeFileError: The weights are a pickle of more than tensors.
    """
    model_type, config = configuration(folder, MODELS)
    module = with_weights(MODELS[model_type], config, folder, dtype)
    given = folder if tokenizer is None else tokenizer
    make: Callable[[], Any]
    if isinstance(given, str | os.PathLike):
        make = partial(_tokenizer, Path(given).expanduser(), model_type)
    else:
        make = given_tokenizer(given)
    text = config.text_config
    lazy = LazyTokenizer(
        make,
        text.max_position_embeddings,
        folder=folder if tokenizer is None else None,
        vocab_size=text.vocab_size if tokenizer is None else 0,
    )
    with reading(folder):
        return DualEncoder(name, module, HfTowers(config, _processor(folder, config), lazy))


def configuration(folder: Path, models: Collection[str]) -> tuple[str, Any]:
    """The model_type and the configuration of a local folder; no code of the folder runs. Raises ModelError if the
    type is not in `models`, or a value cannot be used."""
    file = folder / "config.json"
    model_type = read_config(file).get("model_type")
    if not isinstance(model_type, str) or model_type not in models:
        raise ModelError(
            f"model_type in '{file}' must be one of {', '.join(models)}. Got {model_type!r}."
            f"{did_you_mean(str(model_type), models)}"
        )
    with reading(file):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return model_type, config


def image_processor(folder: Path) -> Any:
    """The image processor of a folder, of the Pillow backend; no code of the folder runs. Raises ModelError if a
    value cannot be used."""
    for name in PROCESSOR_FILES:
        if (file := folder / name).is_file():
            read_config(file, largest=LARGEST_SIDE)
            with reading(file):
                return AutoImageProcessor.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False, backend="pil"
                )
    raise ModelError(f"'{folder}' must have {PROCESSOR_FILES[0]} and has none. Copy the directory again.")


def _tokenizer(folder: Path, model_type: str) -> Any:
    """SigLIP2 was trained on lower-cased text. Its fixed-resolution checkpoints are saved as a SiglipModel with
    Gemma's tokenizer, which keeps the case; transformers' Siglip2Tokenizer reads the same files and lower-cases.
    """
    tokenizer = tokenizer_from_folder(folder)
    if model_type == "siglip" and isinstance(tokenizer, GemmaTokenizer):
        with reading(folder):
            return Siglip2Tokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def pooled(output: Any) -> Tensor:
    """The features (B, E): transformers 5 wraps them in an output object, transformers 4 did not."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def channels(values: Sequence[float]) -> Channels:
    """Three floats."""
    red, green, blue = values
    return float(red), float(green), float(blue)


@contextmanager
def quiet() -> Iterator[None]:
    """A block without transformers' progress bars, made for downloads, and its table of unfitting weights."""
    was_on, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if was_on:
            transformers_logging.enable_progress_bar()


def with_weights(model: type[nn.Module], config: Any, folder: Path, dtype: torch.dtype) -> nn.Module:
    """A model of transformers with a folder's weights, in evaluation mode. Raises ModelError if weights are missing,
    truncated or do not fit the configuration, and UnsafeFileError if they are a pickle of more than tensors."""
    weights: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        weights |= load_weights(file)
    names = described(lambda: model(config), folder / "config.json", weights).state_dict().keys()
    if any(name.startswith(PREFIXES) for name in weights):
        weights = without_prefixes(weights, names)
    with quiet(), reading(folder / "config.json"):
        try:
            module, info = model.from_pretrained(  # type: ignore[attr-defined]
                None, config=config, state_dict=weights, dtype=dtype, output_loading_info=True
            )
        except (RuntimeError, ValueError, KeyError, SafetensorError, pickle.UnpicklingError) as error:
            raise ModelError(f"weights in '{folder}' must fit its config.json: {error}.") from error
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"weights in '{folder}' must be complete. {len(missing)} tensors are missing: "
            f"{', '.join(missing[:3])}.{prefix_note(weights) or ' Copy the folder again.'}"
        )
    if unexpected := sorted(info["unexpected_keys"]):
        logger.warning(
            "'%s' has %d tensors that are no part of the model and were ignored: %s.",
            folder,
            len(unexpected),
            ", ".join(unexpected[:3]),
        )
    loaded: nn.Module = module.eval()
    return loaded


def _weight_files(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return shards_of(index)
    raise ModelError(
        f"weights must be in '{folder}'. Looked for {', '.join(_WEIGHTS)} and their index files."
    )


def _processor(folder: Path, config: Any) -> Any:
    if any((folder / name).is_file() for name in PROCESSOR_FILES):
        return image_processor(folder)
    logger.warning("'%s' has no preprocessor_config.json: transformers' defaults are used.", folder)
    vision = config.vision_config
    if config.model_type == "siglip2":
        return Siglip2ImageProcessorPil(patch_size=vision.patch_size, max_num_patches=vision.num_patches)
    size = {"height": vision.image_size, "width": vision.image_size}
    if config.model_type == "siglip":
        return SiglipImageProcessorPil(size=size)
    return CLIPImageProcessorPil(size={"shortest_edge": vision.image_size}, crop_size=size)


def _children(module: nn.Module, *names: str) -> tuple[nn.Module, ...]:
    return tuple(getattr(module, name) for name in names if hasattr(module, name))
