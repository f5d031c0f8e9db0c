"""Plain vision transformers of timm: an image tower without a text tower."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch
from PIL import Image
from torch import Tensor, nn

from radapter.errors import MissingExtraError, ModelError, did_you_mean
from radapter.models import hub
from radapter.models.building import described, prefix_note, without_prefixes
from radapter.models.encoder import Channels, DualEncoder
from radapter.models.folders import read_config, reading
from radapter.models.openclip_files import import_open_clip
from radapter.models.tokenizing import LazyTokenizer
from radapter.storage import load_weights

WEIGHTS = "model.safetensors"


class TimmTowers:
    """Runs a timm ViT up to the features before its classifier.

    Args:
        module: Read for its sizes, not kept.
        architecture: timm's name of it.
    """

    library = "timm"
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
        self._transform = create_transform(**data, is_training=False)

    def encode_image(self, module: nn.Module, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E), not normalised."""
        tokens = module.forward_features(pixels.to(next(module.parameters()).dtype))  # type: ignore[operator]
        features: Tensor = module.forward_head(tokens, pre_logits=True)  # type: ignore[operator]
        return features

    def encode_text(self, module: nn.Module, tokens: Tensor) -> NoReturn:
        """Raises ModelError: there is no text tower."""
        _no_text(self.architecture)

    def preprocess(self, image: Image.Image) -> Tensor:
        """(3, H, W), float32, by timm's evaluation transform."""
        pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels

    def set_checkpointing(self, module: nn.Module, enabled: bool) -> None:
        """Switches checkpointing by timm's function."""
        module.set_grad_checkpointing(enabled)  # type: ignore[operator]

    def image_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """The whole module."""
        return (module,)

    def text_parts(self, module: nn.Module) -> tuple[nn.Module | nn.Parameter, ...]:
        """Empty."""
        return ()

    def image_width(self, module: nn.Module) -> int:
        """D of the module."""
        width: int = module.num_features  # type: ignore[assignment]
        return width


def load_named(
    rest: str, *, name: str, dtype: torch.dtype, allow_download: bool = False, seed: int = 0
) -> DualEncoder:
    """Loads a timm ViT by architecture, in evaluation mode.

    Args:
        rest: "NAME" (random weights from `seed`), "NAME.TAG" (pretrained, from the hub's cache) or "NAME/PATH".
        name: The full name that the user gave.
        dtype: Of the weights.
        allow_download: Whether the hub may be asked for a tag's weights.
        seed: Of random weights.

    Raises:
        MissingExtraError: timm is not installed.
        ModelError: The name is unknown or no plain ViT, or weights are missing, truncated or do not fit.
    """
    timm = import_timm()
    tagged, _, path = rest.partition("/")
    architecture, _, tag = tagged.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(f"timm has no '{architecture}'.{did_you_mean(architecture, timm.list_models())}")
    module = build(architecture, seed=seed)
    if path:
        file = Path(path).expanduser()
        load_into(module, load_weights(file), file)
    elif tag:
        known = timm.list_pretrained(f"{architecture}.*")
        if tagged not in known:
            raise ModelError(f"timm has no weights '{tag}' of {architecture}.{did_you_mean(tagged, known)}")
        about = timm.get_pretrained_cfg(tagged)
        file = hub.file_of(about.hf_hub_id, (WEIGHTS,), allow_download=allow_download)
        load_into(module, load_weights(file), file)
        module.pretrained_cfg = about.to_dict()
    return DualEncoder(name, module.to(dtype).eval(), TimmTowers(module, tagged))


def load_folder(folder: Path, *, name: str, dtype: torch.dtype) -> DualEncoder:
    """Loads a timm ViT from a folder that `timm.create_model('local-dir:...')` loads, in evaluation mode."""
    import_timm()
    file = folder / "config.json"
    architecture = read_config(file)["architecture"]
    weights = load_weights(folder / WEIGHTS)

    def make() -> Any:
        return build(f"local-dir:{folder}")

    described(make, file, weights)
    with reading(file):
        module = make()
        load_into(module, weights, folder / WEIGHTS)
        return DualEncoder(name, module.to(dtype).eval(), TimmTowers(module, architecture))


def build(architecture: str, *, seed: int = 0, **options: Any) -> Any:
    """A timm ViT with random weights; torch's global generator is not used. Raises ModelError if the architecture is
    no plain vision transformer."""
    timm = import_timm()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = timm.create_model(architecture, pretrained=False, **options)
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
        raise ModelError(
            f"weights file must fit the architecture. '{file}': {error}{prefix_note(weights)}"
        ) from error


def import_timm() -> ModuleType:
    """Imports the library. Raises MissingExtraError if it is not installed; it comes with open_clip's extra."""
    import_open_clip()
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(
            "this model needs timm, which is not installed. Run pip install 'radapter[open-clip]'."
        ) from error
    module: ModuleType = timm
    return module


def _no_text(architecture: str) -> NoReturn:
    raise ModelError(
        f"'{architecture}' has an image tower only; texts need a dual encoder, such as open_clip:ViT-B-16."
    )
