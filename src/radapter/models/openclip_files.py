"""The files of an open_clip model: weights by tag or path, tokenizers, and its tags' preparation of images.

open_clip's own download functions are never called, because they ask the network first.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub
from tokenizers.models import BPE
from torch import Tensor, nn
from transformers import AutoConfig

from radapter.errors import MissingExtraError, ModelError, did_you_mean
from radapter.models import folders
from radapter.models.folders import (
    check_folder,
    check_hub_name,
    prefix_note,
    read_config,
    reading,
    without_prefixes,
)
from radapter.models.tokenizing import tokenizer_from_folder

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
WEIGHT_FILES = (WEIGHTS, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
OPENAI_BUFFERS = {
    "input_resolution",
    "context_length",
    "vocab_size",
}  # beside the tensors in OpenAI's archives
_SAFE: dict[str, Any] = {"clean": ("canonicalize", "lower", "whitespace"), "strip_sep_token": (True, False)}
_LONG_WORD = 256
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def import_open_clip() -> ModuleType:
    """Imports open_clip. Raises MissingExtraError if it is not installed, or torchvision does not fit torch."""
    return _imported("open_clip")


def import_timm() -> ModuleType:
    """Imports timm, which comes with open_clip's extra. Raises MissingExtraError as `import_open_clip`."""
    import_open_clip()
    return _imported("timm")


def _imported(library: str) -> ModuleType:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingExtraError(
            f"this model needs {library}, which is not installed. Run pip install 'radapter[open-clip]'."
        ) from error
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        raise MissingExtraError(
            f"torchvision does not fit torch: {error}. They were installed from different places: reinstall both "
            "in one command, pip install --force-reinstall torch torchvision."
        ) from error


def hub_folder(repository: str, allow_download: bool) -> Path:
    """The local folder of a model on the hub, of any library, with the weights that its library reads."""

    def weights(folder: Path) -> tuple[tuple[str, ...], ...]:
        if (folder / CONFIG).is_file():
            return tuple((name,) for name in WEIGHT_FILES)
        return (("*.safetensors",), ("*.bin",))

    return folders.folder_of(repository, weights, allow_download=allow_download)


def weights_of(architecture: str, weights: str, allow_download: bool) -> tuple[Path, dict[str, Any]]:
    """The weights file of a path or tag, and open_clip's entry for the tag. Raises ModelError if it is neither."""
    open_clip = import_open_clip()
    if (tag := open_clip.get_pretrained_cfg(architecture, weights)) and not Path(weights).is_file():
        repository, _, file = tag.get("hf_hub", "").rpartition("/")
        if not repository:
            remedy = f"Download {tag.get('url')} and give open_clip:{architecture}/PATH."
            raise ModelError(f"weights '{weights}' of {architecture} are not on the hub. {remedy}")
        names = (Path(file).with_suffix(".safetensors").name, file) if file else (WEIGHTS, WEIGHT_FILES[-1])
        return folders.file_of(repository, names, allow_download=allow_download), dict(tag)
    if (path := Path(weights).expanduser()).is_file():
        return path, {}
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    raise ModelError(
        f"'{weights}' must be a weights file or a pretrained tag of {architecture}, and is neither."
        f"{did_you_mean(weights, tags)} Tags: {', '.join(tags) or 'none'}."
    )


def shared_preprocess(architecture: str) -> dict[str, Any]:
    """The preparation of images on which all pretrained tags of an architecture agree, for weights from a path."""
    open_clip = import_open_clip()
    known = open_clip.list_pretrained_tags_by_model(architecture)
    tags = [open_clip.get_pretrained_cfg(architecture, tag) for tag in known]
    keys = ("mean", "std", "interpolation", "resize_mode") if tags else ()
    return {key: tags[0][key] for key in keys if all(t.get(key, ...) == tags[0].get(key) for t in tags)}


def is_from_openai(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict comes from an archive of OpenAI's, all of which run with QuickGELU."""
    return {name.rpartition(".")[2] for name in weights} >= OPENAI_BUFFERS


def load_into(module: nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Loads weights in any form that open_clip reads, except pickles and numpy archives.

    The steps are those of open_clip's `load_checkpoint`, which opens the file itself. The usual prefixes and
    OpenAI's three buffers are removed. Raises ModelError if the weights do not fit the architecture.
    """
    factory = import_open_clip().factory
    named = without_prefixes(weights, module.state_dict().keys())
    named = {name: tensor for name, tensor in named.items() if name not in OPENAI_BUFFERS}
    named = factory.convert_state_dict(module, named)
    if "positional_embedding" in named and not hasattr(module, "positional_embedding"):
        named = factory.convert_to_custom_text_state_dict(named)
    for key in ("logit_scale", "logit_bias"):
        if key in named and getattr(module, key) is not None:
            named[key] = named[key].reshape(getattr(module, key).shape)
    try:
        factory.resize_pos_embed(named, module)
        factory.resize_text_pos_embed(named, module)
        missing, unexpected = module.load_state_dict(named, strict=False)
    except (RuntimeError, KeyError, AttributeError) as error:
        raise ModelError(f"weights file must fit the architecture. '{file}': {error}.") from error
    if missing or unexpected:
        raise ModelError(
            f"weights file must fit the architecture. '{file}' lacks {len(missing)} tensors "
            f"({', '.join(missing[:3])}) and has {len(unexpected)} others ({', '.join(unexpected[:3])})."
            f"{prefix_note(named)}"
        )


def resolve_text_config(config: dict[str, Any], allow_download: bool, *, source: Path | None = None) -> None:
    """Points a text tower from transformers to its configuration on disk, because open_clip would ask the hub.

    `config`, open_clip's `model_cfg`, is changed; `source` is its file, None for open_clip's own. Raises ModelError
    if the name is neither of the hub nor a directory in the model's own or the hub's cache, or needs its own code.
    """
    text = config["text_cfg"]
    if not (name := text.get("hf_model_name")):
        return
    folder = Path(str(name))
    own = () if source is None else (source.parent, Path(huggingface_hub.constants.HF_HUB_CACHE))
    if not folder.is_dir() or not any(folder.resolve().is_relative_to(root.resolve()) for root in own):
        if source is not None:
            check_hub_name("model_cfg.text_cfg.hf_model_name", name, source)
        folder = folders.file_of(name, ("config.json",), allow_download=allow_download).parent
    check_folder(folder)
    read_config(folder / "config.json")
    with reading(folder / "config.json"):  # open_clip's own call asks on the terminal whether to run code
        AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    text["hf_model_name"] = str(folder)


def check_tokenizer_options(config: dict[str, Any], source: Path) -> None:
    """Raises ModelError if a configuration gives a tokenizer options that are not known to be harmless."""
    for name, value in (config["text_cfg"].get("tokenizer_kwargs") or {}).items():
        if name not in _SAFE or value not in _SAFE[name]:
            raise ModelError(f"tokenizer_kwargs in '{source}' may set {_SAFE}, not {name}={value!r}.")


def named_tokenizer(config: dict[str, Any], allow_download: bool) -> Any:
    """An architecture's tokenizer, built in or from the cache. Raises ModelError if its files are missing."""
    repository = config["text_cfg"].get("hf_tokenizer_name")
    if not repository:
        return simple_tokenizer(config)
    try:
        for file in _TOKENIZER_FILES:
            found = folders.file_of(repository, (file,), allow_download=allow_download)
    except ModelError as error:
        raise ModelError(
            f"tokenizer files {' and '.join(_TOKENIZER_FILES)} of '{repository}' must be in the local hub cache. "
            f"{folders.ALLOWING}, or in Python give load(..., tokenizer=) a folder or a callable."
        ) from error
    return hf_tokenizer(config, found.parent)


def simple_tokenizer(config: dict[str, Any]) -> Any:
    """open_clip's built-in byte-pair tokenizer."""
    text = config["text_cfg"]
    options = text.get("tokenizer_kwargs") or {}
    tokenizer = import_open_clip().SimpleTokenizer(context_length=text.get("context_length", 77), **options)
    merge = tokenizer.bpe
    # Its own merging takes time with the square of a word's length: 16 s for 20,000 letters.
    same = BPE(tokenizer.encoder, list(tokenizer.bpe_ranks), end_of_word_suffix="</w>")

    def bpe(word: str) -> str:
        if len(word) <= _LONG_WORD:
            merged: str = merge(word)
            return merged
        return " ".join(token.value for token in same.tokenize(word))

    tokenizer.bpe = bpe
    return tokenizer


def hf_tokenizer(config: dict[str, Any], folder: Path) -> Any:
    """open_clip's wrapper of the tokenizer in a local folder. Raises ModelError if the folder has none."""
    text = config["text_cfg"]
    tokenizer_from_folder(folder)  # its error names the missing files
    with reading(folder / "tokenizer_config.json"):
        return import_open_clip().tokenizer.HFTokenizer(
            str(folder),
            context_length=text.get("context_length", 77),
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=True,
            trust_remote_code=False,
            **(text.get("tokenizer_kwargs") or {}),
        )
