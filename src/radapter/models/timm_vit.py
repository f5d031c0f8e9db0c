"""Plain vision transformers of timm: an image tower without a text tower."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from PIL import Image
from torch import Tensor, nn

from radapter.adapter.sites import Block, Family
from radapter.errors import ConfigError, ModelError, did_you_mean
from radapter.models.encoder import Batch, Channels, DualEncoder, Features, Request, TowerParts
from radapter.models.folders import described, file_of, prefix_note, read_config, reading, without_prefixes
from radapter.models.openclip_files import import_timm
from radapter.models.preparation import Preparation
from radapter.models.tokenizing import LazyTokenizer
from radapter.storage import load_weights

NAME = SCHEME = "timm"
_VIT, _EVA = "timm.models.vision_transformer", "timm.models.eva"
_PARTS = {"attention_input": "norm1", "ffn_input": "norm2"}
FAMILY = Family(
    "timm ViT and EVA",
    (
        Block(f"{_VIT}:Block", ("attn.proj",), "mlp.fc2", **_PARTS, ffn_scale="ls2"),
        Block(f"{_VIT}:ResPostBlock", ("attn.proj",), "mlp.fc2", "norm1", "norm2"),
        Block(f"{_EVA}:EvaBlock", ("attn.proj",), "mlp.fc2", **_PARTS, ffn_scale="gamma_2"),
        Block(f"{_EVA}:EvaBlockPostNorm", ("attn.proj",), "mlp.fc2", "norm1", "norm2"),
    ),
    {f"{_VIT}:VisionTransformer": {"": "image"}, f"{_EVA}:Eva": {"": "image"}},
)
WEIGHTS = "model.safetensors"


class _TimmTowers:
    """Runs a timm ViT up to the features before its classifier; `module` is read for its sizes, not kept."""

    library = NAME
    context_length = 0
    vocab_size = 0
    eos_id = 0

    def __init__(self, module: Any, architecture: str) -> None:
        from timm.data import create_transform, resolve_data_config

        data = resolve_data_config({}, model=module)
        _, height, width = data["input_size"]
        if height != width:
            raise ModelError(f"image size of '{architecture}' must be square. Got {height} x {width}.")
        self.architecture = architecture
        self.embed_dim: int = module.num_features
        self.image_size: int = height
        self.image_mean: Channels = tuple(data["mean"])
        self.image_std: Channels = tuple(data["std"])
        self.tokenizer = LazyTokenizer(partial(_no_text, architecture), self.context_length)
        self._data = data
        self._transform = create_transform(**data, is_training=False)

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        return _features(module, pixels.to(next(module.parameters()).dtype))

    def encode_text(self, module: nn.Module, tokens: Tensor) -> NoReturn:
        _no_text(self.architecture)

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels

    def preparation(self) -> Preparation:
        mode = {"center": "shortest", "squash": "squash"}.get(
            self._data["crop_mode"], self._data["crop_mode"]
        )
        config = {**self._data, "size": self.image_size, "resize_mode": mode}
        resize = math.floor(self.image_size / self._data["crop_pct"])
        return Preparation.of_open_clip(config, offset="round", resize=resize)

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        module.set_grad_checkpointing(enabled)  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> TowerParts:
        return (module,)

    def text_parts(self, module: nn.Module) -> TowerParts:
        return ()

    def image_width(self, module: nn.Module) -> int:
        return int(module.num_features)  # type: ignore[arg-type]


def load_named(rest: str, request: Request) -> DualEncoder:
    """Loads "NAME" (random weights from the seed), "NAME.TAG" (from the hub's cache) or "NAME/PATH". Raises
    ModelError if the name is unknown or no plain ViT, or weights are missing, truncated or do not fit."""
    _check_no_tokenizer(request)
    timm = import_timm()
    tagged, _, path = rest.partition("/")
    architecture, _, tag = tagged.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(f"timm has no '{architecture}'.{did_you_mean(architecture, timm.list_models())}")
    module = build(architecture, seed=request.seed)
    if path:
        load_into(module, load_weights(Path(path).expanduser()), Path(path).expanduser())
    elif tag:
        known = timm.list_pretrained(f"{architecture}.*")
        if tagged not in known:
            raise ModelError(f"timm has no weights '{tag}' of {architecture}.{did_you_mean(tagged, known)}")
        about = timm.get_pretrained_cfg(tagged)
        file = file_of(about.hf_hub_id, (WEIGHTS,), allow_download=request.allow_download)
        load_into(module, load_weights(file), file)
        module.pretrained_cfg = about.to_dict()
    return DualEncoder(request.name, module.to(request.dtype).eval(), _TimmTowers(module, tagged))


def owns(folder: Path) -> bool:
    """See `Library`."""
    config = folder / "config.json"
    return config.is_file() and "architecture" in read_config(config)  # transformers writes "architectures"


def load_folder(folder: Path, request: Request) -> DualEncoder:
    """Loads a timm ViT from a folder that `timm.create_model('local-dir:...')` loads, in evaluation mode."""
    _check_no_tokenizer(request)
    import_timm()
    file = folder / "config.json"
    architecture = read_config(file)["architecture"]
    weights = load_weights(folder / WEIGHTS)
    make = partial(build, f"local-dir:{folder}")
    described(make, file, weights)
    with reading(file):
        module = make()
        load_into(module, weights, folder / WEIGHTS)
        return DualEncoder(request.name, module.to(request.dtype).eval(), _TimmTowers(module, architecture))


def build(architecture: str, *, seed: int = 0) -> Any:
    """A timm ViT with random weights from a seed. Raises ModelError if it is no plain vision transformer."""
    timm = import_timm()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = timm.create_model(architecture, pretrained=False)
    plain = (timm.models.vision_transformer.VisionTransformer, timm.models.eva.Eva)
    if not isinstance(module, plain):
        raise ModelError(
            f"timm model must be a plain vision transformer. '{architecture}' is a {type(module).__name__}. "
            "Use one such as vit_base_patch16_224, deit3_base_patch16_224 or eva02_base_patch14_224."
        )
    return module


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Loads the tensors of a weights file. Raises ModelError if they do not fit."""
    weights = without_prefixes(tensors, module.state_dict().keys())
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"'{file}' must fit the architecture: {error}{prefix_note(weights)}") from error


def write(plain: nn.Module, towers: _TimmTowers, folder: Path) -> bool:
    """See `Library`."""
    from timm.models import save_for_hf

    save_for_hf(plain, str(folder), safe_serialization=True)
    return False


def features(folder: Path, batch: Batch, dtype: torch.dtype) -> Features:
    """See `Library`."""
    import timm

    vit = timm.create_model(f"local-dir:{folder}", pretrained=True).to(dtype).eval()
    return {"image": _features(vit, batch[0])}


def _features(module: Any, pixels: Tensor) -> Tensor:
    features: Tensor = module.forward_head(module.forward_features(pixels), pre_logits=True)
    return features


def _check_no_tokenizer(request: Request) -> None:
    if request.tokenizer is not None:
        raise ConfigError(f"tokenizer must be None for '{request.name}', which has no text tower.")


def _no_text(architecture: str) -> NoReturn:
    raise ModelError(f"'{architecture}' has an image tower only. Use a dual encoder: open_clip:ViT-B-16.")
