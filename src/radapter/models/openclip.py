"""Dual encoders of open_clip: CLIP, CustomTextCLIP and CoCa, by architecture and weights or from a folder.

The modules are built from open_clip's own configurations with its own classes. Its download functions are never
called: weights come from a path or from the hub's cache. Random weights are drawn from a seed.
"""

import copy
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from radapter.errors import ModelError, did_you_mean
from radapter.models.building import described
from radapter.models.crossing import HERE
from radapter.models.encoder import Channels, DualEncoder
from radapter.models.folders import check_hub_name, read_config, reading, table_of
from radapter.models.openclip_files import (
    WEIGHT_FILES,
    check_tokenizer_options,
    hf_tokenizer,
    import_open_clip,
    is_from_openai,
    load_into,
    named_tokenizer,
    resolve_text_config,
    shared_preprocess,
    simple_tokenizer,
    weights_of,
)
from radapter.models.tokenizing import LazyTokenizer, TokenizerSpec, given_tokenizer, has_tokenizer
from radapter.storage import load_weights

logger = logging.getLogger(__name__)

CONFIG = "open_clip_config.json"


class OpenClipTowers:
    """Runs an open_clip dual encoder.

    Args:
        model_config: open_clip's configuration of the architecture, its `model_cfg`.
        preprocess_config: Its `preprocess_cfg`.
        tokenizer: Of the text tower.
    """

    library = "open_clip"

    def __init__(
        self, model_config: dict[str, Any], preprocess_config: dict[str, Any], tokenizer: LazyTokenizer
    ) -> None:
        open_clip = import_open_clip()
        self.model_config = model_config
        self.preprocess_config = preprocess_config
        self.tokenizer = tokenizer
        text = model_config["text_cfg"]
        self.embed_dim: int = model_config["embed_dim"]
        self.image_size: int = preprocess_config["size"]
        self.image_mean: Channels = tuple(preprocess_config["mean"])
        self.image_std: Channels = tuple(preprocess_config["std"])
        self.context_length: int = text.get("context_length", 77)
        self.vocab_size: int = text.get("vocab_size", 49408)
        by_id = text.get("pool_type") == "eos"
        self.eos_id: int = text.get("eos_id", 2) if by_id else self.vocab_size - 1
        settings = open_clip.transform.PreprocessCfg(**preprocess_config)
        self._transform = open_clip.transform.image_transform_v2(settings, is_train=False)

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E), not normalised (CoCa's own default is to normalise)."""
        dtype = next(module.visual.parameters()).dtype  # type: ignore[union-attr]
        features: Tensor = module.encode_image(pixels.to(dtype), normalize=False)  # type: ignore[operator]
        return features

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        """(B, L) to (B, E), not normalised."""
        features: Tensor = module.encode_text(tokens, normalize=False)  # type: ignore[operator]
        return features

    def preprocess(self, image: Image.Image) -> Tensor:
        """(3, H, W), float32, by open_clip's evaluation transform."""
        pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        """Switches both towers; open_clip silently skips a tower that it cannot switch."""
        module.set_grad_checkpointing(enabled)  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """The image tower, which holds its projection."""
        return (module.visual,)  # type: ignore[return-value]

    def text_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """The text tower: one child of CustomTextCLIP and CoCa, spread over the root of CLIP."""
        if hasattr(module, "text"):
            return (module.text,)  # type: ignore[return-value]
        names = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
        return tuple(part for name in names if (part := getattr(module, name)) is not None)

    def image_width(self, module: nn.Module) -> int:
        """D of a transformer, the channels after the last stage of a ResNet or of a tower of timm."""
        vision = import_open_clip().CLIPVisionCfg(**self.model_config["vision_cfg"])
        if vision.timm_model_name:
            width: int = module.visual.trunk.num_features  # type: ignore[union-attr, assignment]
            return width
        # A ResNet has one entry per stage here; its stem's width doubles four times and each block ends four times
        # as wide: 64 becomes 2048.
        return int(vision.width) * (32 if isinstance(vision.layers, list | tuple) else 1)


def load_named(
    rest: str,
    *,
    name: str,
    dtype: torch.dtype,
    allow_download: bool = False,
    tokenizer: TokenizerSpec | None = None,
    seed: int = 0,
) -> DualEncoder:
    """Loads an open_clip model by architecture, in evaluation mode.

    Args:
        rest: "NAME" (random weights from `seed`), "NAME/TAG" (a pretrained tag) or "NAME/PATH" (a weights file).
        name: The full name that the user gave.
        dtype: Of the weights.
        allow_download: Whether the hub may be asked for a tag's weights.
        tokenizer: Replaces the architecture's own.
        seed: Of random weights.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelError: Architecture or tag is unknown, or weights are missing, truncated or do not fit.
        UnsafeFileError: The weights are a pickle of more than tensors.
    """
    open_clip = import_open_clip()
    architecture, _, weights = rest.partition("/")
    if architecture not in (known := open_clip.list_models()):  # of other names open_clip asks the network
        raise ModelError(
            f"open_clip has no architecture '{architecture}'.{did_you_mean(architecture, known)}"
        )
    config = open_clip.get_model_config(architecture)
    file, tag = weights_of(architecture, weights, allow_download) if weights else (None, {})
    tensors = {} if file is None else load_weights(file)
    if file is not None and not tag:
        config["quick_gelu"] = _quick_gelu_of_path(architecture, config, tensors, weights)
    # The openai weights were trained with QuickGELU; their architecture's name does not say so.
    config["quick_gelu"] = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    preprocess = tag or shared_preprocess(architecture)
    resolve_text_config(config, allow_download)
    module = build(config, seed=seed)
    if file is not None:
        load_into(module, tensors, file)

    make = partial(named_tokenizer, config, allow_download)
    return _encoder(name, module, config, preprocess, make, tokenizer, dtype)


def _quick_gelu_of_path(
    architecture: str, config: dict[str, Any], weights: Mapping[str, Tensor], path: str
) -> bool:
    """A file rarely says which activation it was trained with. OpenAI's archives do, by the buffers in them."""
    quick = f"{architecture}-quickgelu"
    if config.get("quick_gelu"):
        return True
    if is_from_openai(weights):
        logger.info("'%s' was taken from an archive of OpenAI's and runs with QuickGELU.", path)
        return True
    if quick in import_open_clip().list_models():
        logger.warning(
            "'%s' runs with GELU: the file does not record its activation. If it was trained with QuickGELU, as "
            "OpenAI's models and those fine-tuned from them, give open_clip:%s/%s.",
            path,
            quick,
            path,
        )
    return False


def load_folder(
    folder: Path,
    *,
    name: str,
    dtype: torch.dtype,
    allow_download: bool = False,
    tokenizer: TokenizerSpec | None = None,
) -> DualEncoder:
    """Loads an open_clip model from a folder that `open_clip.create_model('local-dir:...')` loads, in evaluation
    mode.

    Args:
        folder: Local, or of the hub's cache.
        name: The name that the user gave.
        dtype: Of the weights.
        allow_download: Whether the hub may be asked for a text tower's configuration and a tokenizer elsewhere.
        tokenizer: Replaces the folder's.
    """
    import_open_clip()
    config, preprocess = _configuration(folder / CONFIG)
    file = next((folder / n for n in WEIGHT_FILES if (folder / n).is_file()), None)
    if file is None:
        raise ModelError(f"weights must be in '{folder}'. Looked for {', '.join(WEIGHT_FILES)}.")
    resolve_text_config(config, allow_download, source=folder / CONFIG)
    weights = load_weights(file)
    described(lambda: build(config), folder / CONFIG, weights)
    with reading(folder / CONFIG):
        module = build(config)
        load_into(module, weights, file)

    make = partial(_tokenizer_of_folder, config, folder, allow_download)
    with reading(folder / CONFIG):
        return _encoder(name, module, config, preprocess, make, tokenizer, dtype, folder=folder)


def _tokenizer_of_folder(config: dict[str, Any], folder: Path, allow_download: bool) -> Any:
    source = config["text_cfg"].get("hf_tokenizer_name")
    if not source or has_tokenizer(folder) or source == HERE:
        return hf_tokenizer(config, folder) if source else simple_tokenizer(config)
    check_hub_name("model_cfg.text_cfg.hf_tokenizer_name", source, folder / CONFIG)
    return named_tokenizer(config, allow_download)


def _configuration(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    about = read_config(file)
    if "model_cfg" not in about:
        raise ModelError(f"'{file}' must have the key 'model_cfg' and lacks it.")
    config = table_of(about, "model_cfg", file)
    for tower in ("vision_cfg", "text_cfg"):
        table_of(config, tower, file)
    with reading(file):
        check_tokenizer_options(config, file)
    return config, table_of(about, "preprocess_cfg", file) if "preprocess_cfg" in about else {}


def build(config: dict[str, Any], *, seed: int = 0) -> nn.Module:
    """An open_clip module with random weights, of the class that open_clip would choose.

    Args:
        config: open_clip's `model_cfg`; it does not change.
        seed: Of the weights; torch's global generator is not used.
    """
    open_clip = import_open_clip()
    arguments = copy.deepcopy(config)
    custom = arguments.pop("custom_text", False) or "hf_model_name" in arguments["text_cfg"]
    if "timm_model_name" in arguments["vision_cfg"]:
        arguments["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in arguments["text_cfg"]:
        arguments["text_cfg"]["hf_model_pretrained"] = False
    if "multimodal_cfg" in arguments:
        kind = open_clip.CoCa
    else:
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = kind(**arguments)
        initialise_captioner(module)
    return module


def initialise_captioner(module: nn.Module) -> None:
    """Draws the one matrix of CoCa that open_clip 3.3 leaves uninitialised; does nothing for others.

    It belongs to the captioner, which never runs here, but weights that differ between loads would make two models
    of one.
    """
    if isinstance(module, import_open_clip().CoCa):
        projection = module.text_decoder.text_projection
        nn.init.normal_(projection, std=projection.shape[0] ** -0.5)


def _encoder(
    name: str,
    module: nn.Module,
    config: dict[str, Any],
    preprocess: dict[str, Any],
    make: Callable[[], Any],
    tokenizer: TokenizerSpec | None,
    dtype: torch.dtype,
    folder: Path | None = None,
) -> DualEncoder:
    transform = import_open_clip().transform
    merged = transform.merge_preprocess_dict(transform.PreprocessCfg(), preprocess)
    size = module.visual.image_size  # type: ignore[union-attr]
    sides = {size} if isinstance(size, int) else set(size)  # type: ignore[arg-type]
    if len(sides) != 1:
        raise ModelError(f"image size of '{name}' must be square. Got {size}.")
    merged["size"] = sides.pop()
    text = config["text_cfg"]
    vocab_size: int = getattr(module, "text", module).vocab_size  # type: ignore[assignment]
    lazy = LazyTokenizer(
        make if tokenizer is None else given_tokenizer(tokenizer),
        text.get("context_length", 77),
        folder=folder if tokenizer is None else None,
        vocab_size=vocab_size if tokenizer is None else 0,
    )
    return DualEncoder(name, module.to(dtype).eval(), OpenClipTowers(config, merged, lazy))
