"""The configuration of adapters in a run's directory: only what radapter writes there is read.

PEFT treats many of its values as regular expressions, paths or code to import. Here names are names, and whatever
else radapter does not set must be left at PEFT's default.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME

from radapter.adapter import RAdapterConfig
from radapter.errors import ConfigError, ModelError
from radapter.models.folders import check_folder, read_config, reading
from radapter.storage import load_weights

_CONFIGS: dict[str, type[PeftConfig]] = {"RADAPTER": RAdapterConfig, "LORA": LoraConfig}
_NAMES = ("target_modules", "exclude_modules", "modules_to_save")
_OF_PEFT = {
    "peft_type", "peft_version", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode",
}  # fmt: skip
_SET_BY_RADAPTER: dict[str, set[str]] = {
    "RADAPTER": {field.name for field in dataclasses.fields(RAdapterConfig)},
    "LORA": {"r", "lora_alpha", "lora_dropout", "use_rslora", *_NAMES},
}
_NAME = re.compile(r"[\w.]+")


def read_adapter_config(folder: Path) -> PeftConfig:
    """Reads `adapter_config.json`.

    Raises:
        ModelError: a kind of adapter, a key or a value that radapter does not write.
    """
    check_folder(folder)
    file = folder / CONFIG_NAME
    about = read_config(file)
    kind = about.get("peft_type")
    if not isinstance(kind, str) or kind not in _CONFIGS:
        raise ModelError(
            f"peft_type in '{file}' must be one of {', '.join(_CONFIGS)}, got {kind!r}. Train again."
        )
    for name in _NAMES:
        _check_names(name, about.get(name), file)
    defaults = {field.name: field for field in dataclasses.fields(_CONFIGS[kind])}
    for key, value in about.items():
        if key in defaults and key not in _OF_PEFT | _SET_BY_RADAPTER[kind]:
            default = defaults[key].default
            if value and value != default:
                raise ModelError(
                    f"{key} in '{file}' must be left at PEFT's default, got {value!r}. Remove it, or load the "
                    "adapters with PEFT."
                )
    _check_rank(about.get("r"), folder)
    with reading(file):
        try:
            return PeftConfig.from_pretrained(folder)
        except ConfigError as error:
            raise ModelError(f"'{file}': {error}") from error


def _check_rank(rank: Any, folder: Path) -> None:
    """Checks the rank against the weights beside it, before PEFT makes matrices of it."""
    weights = load_weights(folder / SAFETENSORS_WEIGHTS_NAME).values()
    largest = max((side for tensor in weights for side in tensor.shape), default=0)
    if rank is not None and not (isinstance(rank, int) and 0 < rank <= largest):
        raise ModelError(
            f"r in '{folder / CONFIG_NAME}' must be in [1, {largest}], the largest side of its weights, got "
            f"{rank!r}. Correct it."
        )


def _check_names(key: str, names: Any, file: Path) -> None:
    """Checks for a list of names: PEFT reads a text, and the names of modules to save, as regular expressions."""
    if names is not None and not (
        isinstance(names, list) and all(isinstance(n, str) and _NAME.fullmatch(n) for n in names)
    ):
        raise ModelError(f"{key} in '{file}' must be a list of names of modules, got {names!r}. Correct it.")
