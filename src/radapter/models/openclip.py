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

from radapter.adapter.sites import Block, Family
from radapter.errors import ModelError, did_you_mean
from radapter.models import openclip_files as files
from radapter.models.crossing import HERE
from radapter.models.encoder import Batch, Channels, DualEncoder, Features, Request, TowerParts
from radapter.models.folders import check_hub_name, described, read_config, reading, table_of
from radapter.models.openclip_files import CONFIG, import_open_clip
from radapter.models.preparation import Preparation
from radapter.models.token_crossing import write_tokenizer
from radapter.models.tokenizing import LazyTokenizer, has_tokenizer, lazy_tokenizer
from radapter.storage import load_weights, save_tensors, write_json

logger = logging.getLogger(__name__)

_Config = dict[str, Any]
NAME = SCHEME = "open_clip"
_BLOCKS, _MODELS = "open_clip.transformer", "open_clip.model"
_PARTS = {"attention_input": "ln_1", "ffn_input": "ln_2", "ffn_scale": "ls_2"}
FAMILY = Family(
    "open_clip",
    (
        Block(f"{_BLOCKS}:ResidualAttentionBlock", ("attn", "attn.out_proj"), "mlp.c_proj", **_PARTS),
        Block(
            f"{_BLOCKS}:CustomResidualAttentionBlock", ("attn.out_proj",), "mlp.c_proj", "ln_attn", **_PARTS
        ),
    ),
    {
        f"{_MODELS}:CLIP": {"visual": "image", "transformer": "text"},
        f"{_MODELS}:CustomTextCLIP": {"visual": "image", "text": "text"},
        "open_clip.coca_model:CoCa": {"visual": "image", "text": "text"},
        f"{_BLOCKS}:VisionTransformer": {"": "image"},
        f"{_BLOCKS}:TextTransformer": {"": "text"},
        "open_clip.timm_model:TimmModel": {"": "image"},
        "open_clip.modified_resnet:ModifiedResNet": {"": "image"},
        "open_clip.hf_model:HFTextEncoder": {"": "text"},
    },
)


class _OpenClipTowers:
    """Runs an open_clip dual encoder, described by open_clip's `model_cfg` and `preprocess_cfg`."""

    library = NAME

    def __init__(self, model_config: _Config, preprocess_config: _Config, tokenizer: LazyTokenizer) -> None:
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
        dtype = next(module.visual.parameters()).dtype  # type: ignore[union-attr]
        features: Tensor = module.encode_image(pixels.to(dtype), normalize=False)  # type: ignore[operator]
        return features

    def encode_text(self, module: nn.Module, tokens: Tensor) -> Tensor:
        features: Tensor = module.encode_text(tokens, normalize=False)  # type: ignore[operator]
        return features

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels

    def preparation(self) -> Preparation:
        return Preparation.of_open_clip(self.preprocess_config, offset="round")

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        module.set_grad_checkpointing(enabled)  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> TowerParts:
        return (module.visual,)  # type: ignore[return-value]

    def text_parts(self, module: nn.Module) -> TowerParts:
        if hasattr(module, "text"):  # one child of CustomTextCLIP and CoCa, spread over the root of CLIP
            return (module.text,)  # type: ignore[return-value]
        names = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
        return tuple(part for name in names if (part := getattr(module, name)) is not None)

    def image_width(self, module: nn.Module) -> int:
        vision = import_open_clip().CLIPVisionCfg(**self.model_config["vision_cfg"])
        if vision.timm_model_name:
            return int(module.visual.trunk.num_features)  # type: ignore[union-attr, arg-type]
        # A ResNet has one entry per stage here; its stem's width doubles four times and each block ends four times
        # as wide: 64 becomes 2048.
        return int(vision.width) * (32 if isinstance(vision.layers, list | tuple) else 1)


def load_named(rest: str, request: Request) -> DualEncoder | Path:
    """Loads an open_clip model by architecture, in evaluation mode, or returns its folder.

    `rest` is "NAME" (random weights from the seed), "NAME/TAG" (a pretrained tag), "NAME/PATH" (a weights file) or
    "hf-hub:OWNER/NAME". Raises ModelError if it is unknown, or weights are missing, truncated or do not fit.
    """
    source, _, repository = rest.partition(":")
    if source == "hf-hub" and repository:
        folder = files.hub_folder(repository, request.allow_download)
        if not owns(folder):
            raise ModelError(f"'{repository}' must have {CONFIG} and lacks it. Use hf:{repository}.")
        return folder
    open_clip = import_open_clip()
    architecture, _, weights = rest.partition("/")
    if architecture not in (known := open_clip.list_models()):  # for other names open_clip asks the network
        raise ModelError(f"open_clip has no '{architecture}'.{did_you_mean(architecture, known)}")
    config = open_clip.get_model_config(architecture)
    file, tag = files.weights_of(architecture, weights, request.allow_download) if weights else (None, {})
    tensors = {} if file is None else load_weights(file)
    if file is not None and not tag:
        config["quick_gelu"] = _quick_gelu_of_path(architecture, config, tensors, weights)
    # The openai weights were trained with QuickGELU; their architecture's name does not say so.
    config["quick_gelu"] = bool(config.get("quick_gelu") or tag.get("quick_gelu"))
    preprocess = tag or files.shared_preprocess(architecture)
    files.resolve_text_config(config, request.allow_download)
    module = build(config, seed=request.seed)
    if file is not None:
        files.load_into(module, tensors, file)
    make = partial(files.named_tokenizer, config, request.allow_download)
    return _encoder(request, module, config, preprocess, make)


def _quick_gelu_of_path(architecture: str, config: _Config, weights: Mapping[str, Tensor], path: str) -> bool:
    """A file rarely says which activation it was trained with. OpenAI's archives do, by the buffers in them."""
    quick = f"{architecture}-quickgelu"
    if config.get("quick_gelu"):
        return True
    if files.is_from_openai(weights):
        logger.info("'%s' was taken from an archive of OpenAI's and runs with QuickGELU.", path)
        return True
    if quick in import_open_clip().list_models():
        logger.warning(
            "'%s' runs with GELU: the file does not record its activation. If it was trained with QuickGELU, as "
            "OpenAI's models and those fine-tuned from them, give open_clip:%s/%s.",
            *(path, quick, path),
        )
    return False


def owns(folder: Path) -> bool:
    """See `Library`."""
    return (folder / CONFIG).is_file()


def load_folder(folder: Path, request: Request) -> DualEncoder:
    """Loads a folder that `open_clip.create_model('local-dir:...')` loads, in evaluation mode."""
    import_open_clip()
    source = folder / CONFIG
    config, preprocess = _configuration(source)
    file = next((folder / name for name in files.WEIGHT_FILES if (folder / name).is_file()), None)
    if file is None:
        raise ModelError(f"weights must be in '{folder}'. Looked for {', '.join(files.WEIGHT_FILES)}.")
    files.resolve_text_config(config, request.allow_download, source=source)
    weights = load_weights(file)
    described(lambda: build(config), source, weights)
    make = partial(_tokenizer_of_folder, config, folder, request.allow_download)
    with reading(source):
        module = build(config)
        files.load_into(module, weights, file)
        return _encoder(request, module, config, preprocess, make, folder)


def _tokenizer_of_folder(config: _Config, folder: Path, allow_download: bool) -> Any:
    source = config["text_cfg"].get("hf_tokenizer_name")
    if not source or has_tokenizer(folder) or source == HERE:
        return files.hf_tokenizer(config, folder) if source else files.simple_tokenizer(config)
    check_hub_name("model_cfg.text_cfg.hf_tokenizer_name", source, folder / CONFIG)
    return files.named_tokenizer(config, allow_download)


def _configuration(file: Path) -> tuple[_Config, _Config]:
    about = read_config(file)
    if "model_cfg" not in about:
        raise ModelError(f"'{file}' must have the key 'model_cfg' and lacks it.")
    config = table_of(about, "model_cfg", file)
    for tower in ("vision_cfg", "text_cfg"):
        table_of(config, tower, file)
    with reading(file):
        files.check_tokenizer_options(config, file)
    return config, table_of(about, "preprocess_cfg", file) if "preprocess_cfg" in about else {}


def build(config: _Config, *, seed: int = 0) -> nn.Module:
    """A module for a `model_cfg`, of the class that open_clip would choose, with random weights from a seed."""
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
    """Draws the one matrix of CoCa's captioner that open_clip 3.3 leaves uninitialised: it never runs here, but
    random weights would differ between loads."""
    if isinstance(module, import_open_clip().CoCa):
        projection = module.text_decoder.text_projection
        nn.init.normal_(projection, std=projection.shape[0] ** -0.5)


def _encoder(
    request: Request,
    module: nn.Module,
    config: _Config,
    preprocess: _Config,
    make: Callable[[], Any],
    folder: Path | None = None,
) -> DualEncoder:
    transform = import_open_clip().transform
    merged = transform.merge_preprocess_dict(transform.PreprocessCfg(), preprocess)
    size = module.visual.image_size  # type: ignore[union-attr]
    sides = {size} if isinstance(size, int) else set(size)  # type: ignore[arg-type]
    if len(sides) != 1:
        raise ModelError(f"image size of '{request.name}' must be square. Got {size}.")
    merged["size"] = sides.pop()
    vocab_size: int = getattr(module, "text", module).vocab_size  # type: ignore[assignment]
    length = config["text_cfg"].get("context_length", 77)
    tokenizer = lazy_tokenizer(request.tokenizer, make, length, folder=folder, vocab_size=vocab_size)
    module = module.to(request.dtype).eval()
    return DualEncoder(request.name, module, _OpenClipTowers(config, merged, tokenizer))


def write(plain: nn.Module, towers: _OpenClipTowers, folder: Path) -> bool:
    """See `Library`."""
    save(plain.state_dict(), towers.model_config, towers.preprocess_config, folder)
    if not towers.model_config["text_cfg"].get("hf_tokenizer_name"):
        return True  # open_clip's own
    return write_tokenizer(towers.tokenizer, folder)


def save(weights: dict[str, Tensor], config: _Config, preprocess: _Config, folder: Path) -> None:
    """Writes weights and configuration as open_clip reads them."""
    save_tensors(folder / files.WEIGHTS, weights)
    write_json(folder / CONFIG, {"model_cfg": config, "preprocess_cfg": preprocess})


def features(folder: Path, batch: Batch, dtype: torch.dtype) -> Features:
    """See `Library`."""
    import open_clip

    pixels, tokens = batch
    clip = open_clip.create_model(f"local-dir:{folder}").to(dtype).eval()
    return {
        "image": clip.encode_image(pixels, normalize=False),
        "text": clip.encode_text(tokens, normalize=False),
    }
