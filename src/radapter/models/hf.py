"""Dual encoders of transformers: CLIPModel, SiglipModel and Siglip2Model, from a folder or the hub's cache.

Three defaults of transformers are overridden here:
- A folder reloads in the dtype it was saved in, so the dtype is always given.
- The default image processor uses torchvision if present and Pillow otherwise, with pixels differing by 0.015, so
  the Pillow backend is requested.
- Missing weights are only logged there; here they are an error.
"""

import logging
import math
import pickle
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPModel, Siglip2Model, SiglipModel
from transformers.utils import logging as transformers_logging

from radapter.adapter.sites import Block, Family, Tower
from radapter.errors import ModelError, did_you_mean
from radapter.models import folders
from radapter.models.crossing import open_clip_preprocess
from radapter.models.encoder import Batch, Channels, DualEncoder, Features, Request, TowerParts
from radapter.models.folders import reading
from radapter.models.openclip_files import hub_folder
from radapter.models.preparation import Preparation
from radapter.models.token_crossing import write_tokenizer
from radapter.models.tokenizing import lazy_tokenizer, tokenizer_from_folder
from radapter.storage import load_weights, read_json, write_json

logger = logging.getLogger(__name__)

MODELS: dict[str, type[nn.Module]] = {"clip": CLIPModel, "siglip": SiglipModel, "siglip2": Siglip2Model}
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

NAME, SCHEME = "transformers", "hf"
_TYPES = [
    f"transformers.models.{name}.modeling_{name}:{model.__name__.removesuffix('Model')}"
    for name, model in MODELS.items()
]
_TOWERS: dict[str, dict[str, Tower]] = {
    "Model": {"vision_model": "image", "text_model": "text"},
    "VisionModel": {"": "image"},
    "TextModel": {"": "text"},
}
FAMILY = Family(
    "transformers CLIP, SigLIP, SigLIP2",
    tuple(
        Block(
            f"{kind}EncoderLayer",
            ("self_attn.out_proj",),
            "mlp.fc2",
            attention_input="layer_norm1",
            ffn_input="layer_norm2",
        )
        for kind in _TYPES
    ),
    {f"{kind}{name}": towers for kind in _TYPES for name, towers in _TOWERS.items()},
)


class _HfTowers:
    """Runs a transformers dual encoder; `processor` is its image processor, of the Pillow backend."""

    library = NAME

    def __init__(self, config: Any, processor: Any, tokenizer: Any) -> None:
        text, vision = config.text_config, config.vision_config
        self.config = config
        self.processor = processor
        self.tokenizer = tokenizer
        self.embed_dim = config.projection_dim if config.model_type == "clip" else text.projection_size
        self.image_mean = _channels(processor.image_mean)
        self.image_std = _channels(processor.image_std)
        self.context_length: int = text.max_position_embeddings
        self.vocab_size: int = text.vocab_size
        # An eos id of 2 is a legacy mark: transformers then pools at the largest id, which is the vocabulary's last.
        self.eos_id: int = text.vocab_size - 1 if text.eos_token_id in (2, None) else text.eos_token_id
        self.patch_size: int | None = None
        self.image_size, self._prepare = getattr(vision, "image_size", 0), processor
        if config.model_type == "siglip2":
            self.patch_size = vision.patch_size
            self.image_size = math.isqrt(processor.max_num_patches) * vision.patch_size
            # Its own processor keeps each image's shape, which a batch (B, 3, H, W) cannot: images are made square,
            # as SigLIP's fixed-size processor does.
            self._prepare = transformers.SiglipImageProcessorPil(
                size={"height": self.image_size, "width": self.image_size},
                resample=processor.resample,
                image_mean=processor.image_mean,
                image_std=processor.image_std,
            )

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        return _image_features(module, pixels, self.patch_size)

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        # padding needs no mask: CLIP is causal, SigLIP was trained without
        return _pooled(module.get_text_features(input_ids=tokens))  # type: ignore[operator]

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._prepare(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels

    def preparation(self) -> Preparation:
        return Preparation.of_open_clip(open_clip_preprocess(self._prepare, self.image_size), offset="floor")

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        new = hasattr(module, "activation_checkpointing_enable")
        name = f"{'activation' if new else 'gradient'}_checkpointing_{'enable' if enabled else 'disable'}"
        if not enabled:
            getattr(module, name)()
            return
        # Re-entrant checkpointing gives a block whose input has no gradient none: all blocks of a frozen base. So
        # transformers asks embeddings for gradients, which nobody needs here and which outlast the switch.
        getattr(module, name)({"use_reentrant": False})
        module.disable_input_require_grads()  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> TowerParts:
        return _children(module, "vision_model", "visual_projection")

    def text_parts(self, module: nn.Module) -> TowerParts:
        return _children(module, "text_model", "text_projection")

    def image_width(self, module: nn.Module) -> int:
        return int(self.config.vision_config.hidden_size)


def patches_of(pixels: Tensor, patch_size: int) -> dict[str, Tensor]:
    """The inputs of Siglip2Model in place of pixels (B, 3, H, W): patches, their mask, and their rows and columns.

    With N = H W / P P, pixel_values are (B, N, 3 P P), row by row, channels last; pixel_attention_mask (B, N), all
    ones; spatial_shapes (B, 2). Raises ValueError if H or W is not a multiple of P.
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


def load_named(rest: str, request: Request) -> Path:
    """The folder of OWNER/NAME in the hub's cache, of any library."""
    return hub_folder(rest, request.allow_download)


def owns(folder: Path) -> bool:
    """See `Library`; asked last."""
    return (folder / "config.json").is_file()


def load_folder(folder: Path, request: Request) -> DualEncoder:
    """Loads a dual encoder. Raises ModelError if it is not in `MODELS`, or weights are missing or do not fit."""
    model_type, config = configuration(folder, MODELS)
    module = with_weights(MODELS[model_type], config, folder, request.dtype)
    tokenizer = lazy_tokenizer(
        request.tokenizer,
        partial(_tokenizer, folder, model_type=model_type),
        config.text_config.max_position_embeddings,
        folder=folder,
        vocab_size=config.text_config.vocab_size,
        from_folder=partial(_tokenizer, model_type=model_type),
    )
    with reading(folder):
        return DualEncoder(request.name, module, _HfTowers(config, _processor(folder, config), tokenizer))


def configuration(folder: Path, models: Collection[str]) -> tuple[str, Any]:
    """model_type and configuration of a folder, none of whose code runs. Raises ModelError for other types."""
    file = folder / "config.json"
    model_type = folders.read_config(file).get("model_type")
    if not isinstance(model_type, str) or model_type not in models:
        known = f"{', '.join(models)}. Got {model_type!r}.{did_you_mean(str(model_type), models)}"
        raise ModelError(f"model_type in '{file}' must be one of {known}")
    with reading(file):
        return model_type, AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def image_processor(folder: Path) -> Any:
    """The image processor of a folder, of the Pillow backend. Raises ModelError if a value cannot be used."""
    for name in PROCESSOR_FILES:
        if (file := folder / name).is_file():
            folders.read_config(file, largest=folders.LARGEST_SIDE)
            with reading(file):
                return AutoImageProcessor.from_pretrained(
                    folder, backend="pil", local_files_only=True, trust_remote_code=False
                )
    raise ModelError(f"'{folder}' must have {PROCESSOR_FILES[0]} and has none. Copy the directory again.")


@contextmanager
def quiet() -> Iterator[None]:
    """A block without transformers' progress bars, made for downloads, and its table of weights that do not fit."""
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
    """A model with a folder's weights, in evaluation mode. Raises ModelError if they are missing, truncated or do
    not fit the configuration, and UnsafeFileError if they are a pickle of more than tensors."""
    weights: dict[str, Tensor] = {}
    for file in _weight_files(folder):
        weights |= load_weights(file)
    names = folders.described(lambda: model(config), folder / "config.json", weights).state_dict().keys()
    if any(name.startswith(folders.PREFIXES) for name in weights):
        weights = folders.without_prefixes(weights, names)
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
            f"{', '.join(missing[:3])}.{folders.prefix_note(weights) or ' Copy the folder again.'}"
        )
    if unexpected := sorted(info["unexpected_keys"]):
        logger.warning(
            "'%s' has %d tensors that are no part of the model and were ignored: %s.",
            *(folder, len(unexpected), ", ".join(unexpected[:3])),
        )
    loaded: nn.Module = module.eval()
    return loaded


def write(plain: nn.Module, towers: _HfTowers, folder: Path) -> bool:
    """See `Library`."""
    save(plain, towers.processor, folder)
    return write_tokenizer(towers.tokenizer, folder)


def save(plain: Any, processor: Any, folder: Path) -> None:
    """Writes a model of transformers and its image processor."""
    with quiet():
        plain.save_pretrained(folder)
    processor.save_pretrained(folder)


def write_labels(folder: Path, classnames: Sequence[str]) -> None:
    """Writes the class names into a folder's config.json, as transformers keeps them."""
    file = folder / "config.json"
    labels = {
        "id2label": dict(enumerate(classnames)),
        "label2id": dict(zip(classnames, count(), strict=False)),
    }
    write_json(file, read_json(file) | labels)


def features(folder: Path, batch: Batch, dtype: torch.dtype) -> Features:
    """See `Library`."""
    pixels, tokens = batch
    with quiet():
        model = AutoModel.from_pretrained(folder, dtype=dtype, local_files_only=True, trust_remote_code=False)
    config = model.eval().config
    patch_size = config.vision_config.patch_size if config.model_type == "siglip2" else None
    return {
        "image": _image_features(model, pixels, patch_size),
        "text": _pooled(model.get_text_features(input_ids=tokens)),
    }


def _image_features(module: Any, pixels: Tensor, patch_size: int | None) -> Tensor:
    inputs = {"pixel_values": pixels} if patch_size is None else patches_of(pixels, patch_size)
    return _pooled(module.get_image_features(**inputs))


def _pooled(output: Any) -> Tensor:
    """The features (B, E): transformers 5 wraps them in an output object, transformers 4 did not."""
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def _channels(values: Sequence[float]) -> Channels:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _tokenizer(folder: Path, model_type: str) -> Any:
    """SigLIP2 was trained on lower-cased text, but its fixed-resolution checkpoints are saved with Gemma's
    tokenizer, which keeps the case; Siglip2Tokenizer reads the same files."""
    tokenizer = tokenizer_from_folder(folder)
    if model_type == "siglip" and isinstance(tokenizer, transformers.GemmaTokenizer):
        with reading(folder):
            return transformers.Siglip2Tokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def _weight_files(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return folders.shards_of(index)
    raise ModelError(f"weights must be in '{folder}'. Looked for {', '.join(_WEIGHTS)} and their indices.")


def _processor(folder: Path, config: Any) -> Any:
    if any((folder / name).is_file() for name in PROCESSOR_FILES):
        return image_processor(folder)
    logger.warning("'%s' has no preprocessor_config.json: transformers' defaults are used.", folder)
    vision = config.vision_config
    if config.model_type == "siglip2":
        sizes = {"patch_size": vision.patch_size, "max_num_patches": vision.num_patches}
        return transformers.Siglip2ImageProcessorPil(**sizes)
    size = {"height": vision.image_size, "width": vision.image_size}
    if config.model_type == "siglip":
        return transformers.SiglipImageProcessorPil(size=size)
    return transformers.CLIPImageProcessorPil(size={"shortest_edge": vision.image_size}, crop_size=size)


def _children(module: nn.Module, *names: str) -> tuple[nn.Module, ...]:
    return tuple(getattr(module, name) for name in names if hasattr(module, name))
