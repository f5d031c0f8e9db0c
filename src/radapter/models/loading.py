"""`load`: from a name to a dual encoder. Nothing is downloaded unless the user allows it."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import torch
from peft.utils import CONFIG_NAME as PEFT_CONFIG
from PIL import Image

from radapter.adapter import sites
from radapter.errors import ModelError, did_you_mean
from radapter.models import hf, openclip, timm_vit
from radapter.models.certificate import check_certified
from radapter.models.encoder import DualEncoder, Library, Request
from radapter.models.folders import LARGEST_SIDE, check_folder, reading
from radapter.models.onnx_files import IMAGE_ENCODER
from radapter.models.openclip_files import CONFIG, import_open_clip
from radapter.models.tokenizing import TokenizerSpec
from radapter.world import TINY

FORMS = ", ".join((
    "a local folder", "hf:OWNER/NAME", "open_clip:NAME[/TAG or /PATH]", "open_clip:hf-hub:OWNER/NAME", "timm:NAME",
    "world:tiny",
))  # fmt: skip
LIBRARIES: tuple[Library, ...] = (
    hf,
    timm_vit,
    openclip,
)
"""The libraries; `load` asks the last one first whether a folder is its own."""
sites.FAMILIES.extend(library.FAMILY for library in LIBRARIES)
TRAINED = "trained.json"  # in the folder of a finished run
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
        name: "world:tiny" (shipped); a local folder of transformers, open_clip or timm; "hf:OWNER/NAME", such a
            folder on the hub; "open_clip:NAME" (random weights), "open_clip:NAME/TAG", "open_clip:NAME/PATH",
            "open_clip:hf-hub:OWNER/NAME"; "timm:NAME" (image tower only). `~` is expanded in paths.
        dtype: Of the weights, whatever they were saved in.
        allow_download: Whether the Hugging Face Hub may be asked; otherwise only local files are read.
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
    request = Request(text, dtype, allow_download, tokenizer, seed)
    if text == "world:tiny":
        return hf.load_folder(TINY, request)
    scheme, _, rest = text.partition(":")
    if scheme == "open_clip" and rest.startswith("local-dir:") and (place := rest.removeprefix("local-dir:")):
        return load(place, dtype=dtype, allow_download=allow_download, tokenizer=tokenizer)
    for library in LIBRARIES if rest else ():
        if scheme == library.SCHEME:
            found = library.load_named(rest, request)
            return _load_folder(found, request) if isinstance(found, Path) else found
    if (folder := Path(text).expanduser()).is_dir():
        return _load_folder(folder, request._replace(name=str(folder)))
    raise ModelError(f"model must be {FORMS}. Got '{text}', which is no folder here.{_nearest(text)}")


def hub_repository(name: str) -> str | None:
    """The OWNER/NAME on the hub that a model's name for `load` stands for; None for a folder or another name."""
    for prefix in (f"{hf.SCHEME}:", f"{openclip.SCHEME}:hf-hub:"):
        if name.startswith(prefix) and _HUB_ID.fullmatch(name.removeprefix(prefix)):
            return name.removeprefix(prefix)
    return None


def place_for_transformers(name: str) -> str:
    """What transformers loads for a model's name for `load`: OWNER/NAME or an absolute folder; other names stay."""
    if name == "world:tiny":
        return str(TINY)
    folder = Path(name).expanduser()
    return hub_repository(name) or (str(folder.absolute()) if folder.is_dir() else name)


def _load_folder(folder: Path, request: Request) -> DualEncoder:
    check_certified(folder)
    check_folder(folder)
    library = next((library for library in reversed(LIBRARIES) if library.owns(folder)), None)
    if library is None:
        raise ModelError(f"'{request.name}' must have config.json or {CONFIG}.{_hint(folder)}")
    encoder = library.load_folder(folder, request)
    with reading(folder), torch.no_grad():
        _try(encoder)
    return encoder


def _try(encoder: DualEncoder) -> None:
    """Runs one image and one text through an encoder: libraries check many values only when they use them."""
    size = encoder.image_size
    if not 0 < size <= LARGEST_SIDE:
        raise ModelError(f"image size of '{encoder.name}' must be in [1, {LARGEST_SIDE}] pixels, got {size}.")
    pixels = encoder.preprocess(Image.new("RGB", (size, size // 2 + 1)))
    if pixels.shape != (3, size, size):
        shapes = f"(3, {size}, {size}), as its image tower needs, got {tuple(pixels.shape)}"
        raise ModelError(f"'{encoder.name}' must prepare images as {shapes}.")
    encoder.encode_image(pixels[None])
    if encoder.context_length:
        encoder.encode_text(torch.zeros(1, encoder.context_length, dtype=torch.long))


def _hint(folder: Path) -> str:
    if (folder / TRAINED).is_file():
        merge = f"radapter merge {shlex.quote(str(folder))} --out MERGED"
        return f" It is a run folder. Write its plain checkpoint by '{merge}' and give MERGED."
    if (folder / IMAGE_ENCODER).is_file():
        return " It holds ONNX files, which onnxruntime runs; its README.md shows how. Merge without --format onnx."
    if (folder / PEFT_CONFIG).is_file():
        call = f"PeftModel.from_pretrained(encoder.module, {str(folder)!r})"
        return f" It holds PEFT's adapters. Load the base model and call {call}."
    return ""


def _nearest(name: str) -> str:
    known = ["world:tiny"]
    if importlib.util.find_spec("open_clip") is not None:
        known += [f"open_clip:{architecture}" for architecture in import_open_clip().list_models()]
    if _HUB_ID.fullmatch(name):
        return f" Did you mean 'hf:{name}'?"
    return did_you_mean(name, known)
