"""`load`: from a name to a dual encoder. Nothing is downloaded unless the user allows it."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import torch
from peft.utils import CONFIG_NAME as PEFT_CONFIG
from PIL import Image

from radapter.errors import ConfigError, ModelError, did_you_mean
from radapter.models import hf, hub, openclip, timm_vit
from radapter.models.certificate import check_certified
from radapter.models.encoder import DualEncoder
from radapter.models.folders import LARGEST_SIDE, check_folder, read_config, reading
from radapter.models.openclip_files import WEIGHT_FILES, import_open_clip
from radapter.models.tokenizing import TokenizerSpec
from radapter.world import TINY

FORMS = ", ".join((
    "a local folder", "hf:OWNER/NAME", "open_clip:NAME[/TAG or /PATH]", "open_clip:hf-hub:OWNER/NAME", "timm:NAME",
    "world:tiny",
))  # fmt: skip
TRAINED = "trained.json"
"""What a run folder has when it is finished."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    name: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    allow_download: bool = False,
    tokenizer: TokenizerSpec | None = None,
    seed: int = 0,
) -> DualEncoder:
    """Loads a dual encoder by name, in evaluation mode on the CPU.

    Args:
        name: "world:tiny" (shipped); a local folder of transformers, open_clip or timm; "hf:OWNER/NAME", which holds
            what such a folder does; "open_clip:NAME" (random weights), "open_clip:NAME/TAG", "open_clip:NAME/PATH";
            open_clip's own "open_clip:hf-hub:OWNER/NAME"; "timm:NAME" (image tower only). `~` is expanded in paths.
        dtype: Of the weights, whatever they were saved in.
        allow_download: Whether the Hugging Face hub may be asked; otherwise only local files are read.
        tokenizer: Replaces the model's own: a callable from texts to (N, L) ids, a transformers tokenizer, or a
            folder with one's files.
        seed: Of random weights; torch's global generator is not used.

    Raises:
        ModelError: The name is unknown (with the nearest known ones), or files are missing or truncated.
        ConfigError: A tokenizer is given for a model without a text tower.
        MissingExtraError: The library is not installed.
        UnsafeFileError: A weights file is a pickle of more than tensors.
    """
    text = os.fspath(name)
    scheme, _, rest = text.partition(":")
    if text == "world:tiny":
        return hf.load_folder(TINY, name=text, dtype=dtype, tokenizer=tokenizer)
    if scheme == "open_clip" and rest:
        source, _, place = rest.partition(":")
        if source == "hf-hub" and place:
            folder = _cached(place, allow_download)
            if not (folder / openclip.CONFIG).is_file():
                raise ModelError(f"'{place}' must have {openclip.CONFIG} and lacks it. Use hf:{place}.")
            return _load_folder(folder, text, dtype, tokenizer, allow_download)
        if source == "local-dir" and place:
            return load(place, dtype=dtype, allow_download=allow_download, tokenizer=tokenizer)
        return openclip.load_named(
            rest, name=text, dtype=dtype, allow_download=allow_download, tokenizer=tokenizer, seed=seed
        )
    if scheme == "timm" and rest:
        _check_no_tokenizer(text, tokenizer)
        return timm_vit.load_named(rest, name=text, dtype=dtype, allow_download=allow_download, seed=seed)
    if scheme == "hf" and rest:
        return _load_folder(_cached(rest, allow_download), text, dtype, tokenizer, allow_download)
    if (folder := Path(text).expanduser()).is_dir():
        return _load_folder(folder, str(folder), dtype, tokenizer, allow_download)
    raise ModelError(f"model must be {FORMS}. Got '{text}', which is no folder here.{_nearest(text)}")


def _cached(repository: str, allow_download: bool) -> Path:
    def weights(folder: Path) -> tuple[tuple[str, ...], ...]:
        if (folder / openclip.CONFIG).is_file():
            return tuple((name,) for name in WEIGHT_FILES)
        return (("*.safetensors",), ("*.bin",))

    return hub.folder_of(repository, weights, allow_download=allow_download)


def _load_folder(
    folder: Path, name: str, dtype: torch.dtype, tokenizer: TokenizerSpec | None, allow_download: bool
) -> DualEncoder:
    check_certified(folder)
    check_folder(folder)
    encoder = _read_folder(folder, name, dtype, tokenizer, allow_download)
    with reading(folder), torch.no_grad():
        _try(encoder)
    return encoder


def _try(encoder: DualEncoder) -> None:
    """Runs one image and one text through an encoder: libraries check many values only when they use them."""
    if not 0 < encoder.image_size <= LARGEST_SIDE:
        raise ModelError(
            f"image size of '{encoder.name}' must be in [1, {LARGEST_SIDE}] pixels, got {encoder.image_size}."
        )
    pixels = encoder.preprocess(Image.new("RGB", (encoder.image_size, encoder.image_size // 2 + 1)))
    if pixels.shape != (3, encoder.image_size, encoder.image_size):
        raise ModelError(
            f"'{encoder.name}' must prepare images as (3, {encoder.image_size}, {encoder.image_size}), as its image "
            f"tower takes them, got {tuple(pixels.shape)}. Correct its preparation of images."
        )
    encoder.encode_image(pixels[None])
    if encoder.context_length:
        encoder.encode_text(torch.zeros(1, encoder.context_length, dtype=torch.long))


def _read_folder(
    folder: Path, name: str, dtype: torch.dtype, tokenizer: TokenizerSpec | None, allow_download: bool
) -> DualEncoder:
    if (folder / openclip.CONFIG).is_file():
        return openclip.load_folder(
            folder, name=name, dtype=dtype, allow_download=allow_download, tokenizer=tokenizer
        )
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"model folder must have config.json or {openclip.CONFIG}. '{name}' has neither.{_hint(folder)}"
        )
    if "architecture" in read_config(
        folder / "config.json"
    ):  # timm's key; transformers writes "architectures"
        _check_no_tokenizer(name, tokenizer)
        return timm_vit.load_folder(folder, name=name, dtype=dtype)
    return hf.load_folder(folder, name=name, dtype=dtype, tokenizer=tokenizer)


def _hint(folder: Path) -> str:
    if (folder / TRAINED).is_file():
        merge = f"radapter merge {shlex.quote(str(folder))} --to MERGED"
        return f" It is a run folder. Write its plain checkpoint by '{merge}' and give MERGED."
    if (folder / PEFT_CONFIG).is_file():
        return (
            " It holds PEFT's adapters. Load the base model and call "
            f"PeftModel.from_pretrained(encoder.module, {str(folder)!r})."
        )
    return ""


def _check_no_tokenizer(name: str, tokenizer: TokenizerSpec | None) -> None:
    if tokenizer is not None:
        raise ConfigError(f"tokenizer must be None for '{name}', which has no text tower.")


def _nearest(name: str) -> str:
    known = ["world:tiny"]
    if importlib.util.find_spec("open_clip") is not None:
        known += [f"open_clip:{architecture}" for architecture in import_open_clip().list_models()]
    if _HUB_ID.fullmatch(name):
        return f" Did you mean 'hf:{name}'?"
    return did_you_mean(name, known)
