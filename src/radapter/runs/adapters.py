"""The adapters of a run directory: only what radapter writes there is read.

PEFT treats many values of `adapter_config.json` as regular expressions, paths or code to import. Here names are
names, and whatever else radapter does not set must have PEFT's default.
"""

import dataclasses
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from torch import Tensor

from radapter.adapter import RAdapterConfig
from radapter.adapter.sites import FAMILIES
from radapter.errors import ConfigError, DamagedError, ModelError, RAdapterError, RunError
from radapter.manifests import check_recorded
from radapter.methods.adaptformer import AdaptFormerConfig
from radapter.methods.any_peft import LISTS_OF_NAMES, config_types, option_problem, options_of, prepare, quiet
from radapter.methods.repadapter import RepAdapterConfig
from radapter.models import DualEncoder
from radapter.models.folders import check_folder, read_config, reading
from radapter.storage import load_weights

_OURS: dict[str, type[PeftConfig]] = {
    "RADAPTER": RAdapterConfig,
    "ADAPTFORMER": AdaptFormerConfig,
    "REPADAPTER": RepAdapterConfig,
}
_NAMES = (*LISTS_OF_NAMES, "modules_to_save")
_OF_PEFT = {
    *("peft_type", "peft_version", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode")
}
_NAME = re.compile(r"[\w.]+")


def load_adapters(folder: Path, encoder: DualEncoder) -> PeftModel:
    """Loads the adapters of `folder` onto `encoder`, which is changed in place.

    Raises ModelError for a configuration that radapter does not write, DamagedError for files that are missing,
    damaged or do not fit the model, and RunError if PEFT cannot load them.
    """
    check_recorded(folder)
    for name in (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME):  # PEFT would ask the hub for one that is missing
        if not (folder / name).is_file():
            raise DamagedError(f"'{folder / name}' is missing. Copy it again or train again.")
    try:
        config = read_adapter_config(folder)
        prepare(config, encoder.module)
        with quiet():
            warnings.filterwarnings("ignore", message="Found missing adapter keys")  # an error, below
            adapters = PeftModel.from_pretrained(encoder.module, folder, config=config)
    except RAdapterError:
        raise
    except Exception as error:  # PEFT checks no value: its fields, torch and re raise what they raise
        raise RunError(
            f"'{folder}' must hold adapters in PEFT's format that fit '{encoder.name}'. {type(error).__name__}: "
            f"{error}. Copy the folder again or train again."
        ) from error
    # PEFT leaves an adapter whose tensors are missing at its start
    wanted = get_peft_model_state_dict(adapters, save_embedding_layers=False)
    file = folder / SAFETENSORS_WEIGHTS_NAME
    check_fits(load_weights(file), {name: tensor.shape for name, tensor in wanted.items()}, file)
    return adapters


def read_adapter_config(folder: Path) -> PeftConfig:
    """Reads `adapter_config.json`. Raises ModelError for a kind of adapter, a key or a value that radapter does not
    write."""
    check_folder(folder)
    file = folder / CONFIG_NAME
    about = read_config(file)
    kind = about.get("peft_type")
    known = config_types() | _OURS
    if not isinstance(kind, str) or kind not in known:
        raise ModelError(
            f"peft_type in '{file}' must be one of {', '.join(known)}, got {kind!r}. Train again."
        )
    for name in _NAMES:
        _check_names(name, about.get(name), file)
    config = known[kind]
    fields = {field.name: field for field in dataclasses.fields(config)}
    options = set() if kind in _OURS else set(options_of(config))
    free = fields.keys() if kind in _OURS else options | {*_NAMES}
    for name, value in about.items():
        if name in options and (problem := option_problem(config, name, value)):
            raise ModelError(f"{name} in '{file}' {problem}, got {value!r}. Correct it.")
        if name in fields.keys() - _OF_PEFT - free and value and value != fields[name].default:
            raise ModelError(
                f"{name} in '{file}' must be left at PEFT's default, got {value!r}. Remove it, or load the "
                "adapters with PEFT."
            )
    _check_auto_mapping(about.get("auto_mapping"), file)
    for name in ("r", "r_hidden") if kind in {*_OURS, "LORA"} else ():
        _check_rank(name, about.get(name), folder)
    with reading(file):
        try:
            return PeftConfig.from_pretrained(folder)
        except ConfigError as error:
            raise ModelError(f"'{file}': {error}") from error


def check_fits(tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], file: Path) -> None:
    """Raises DamagedError if a file does not hold tensors of exactly these names and shapes."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    for name in sorted(found.keys() | shapes.keys()):
        if found.get(name) != shapes.get(name):
            there, wanted = (
                "no such tensor" if shape is None else f"shape {tuple(shape)}"
                for shape in (found.get(name), shapes.get(name))
            )
            raise DamagedError(
                f"'{file}' does not fit the model: {name} has {there}, expected {wanted}. Copy it again or train "
                "again."
            )


def _check_rank(name: str, rank: Any, folder: Path) -> None:
    """Compares the rank with the weights beside it, before PEFT allocates matrices of that rank."""
    weights = load_weights(folder / SAFETENSORS_WEIGHTS_NAME).values()
    largest = max((side for tensor in weights for side in tensor.shape), default=0)
    least = 0 if name == "r_hidden" else 1
    if rank is not None and not (isinstance(rank, int) and least <= rank <= largest):
        raise ModelError(
            f"{name} in '{folder / CONFIG_NAME}' must be in [{least}, {largest}], the largest side of its "
            f"weights, got {rank!r}. Correct it."
        )


def _check_auto_mapping(mapping: Any, file: Path) -> None:
    """Requires the class of a model that radapter adapts: AutoPeftModel imports what is named here."""
    if mapping is None:
        return
    known = {path for family in FAMILIES for path in family.towers}
    keys = {"parent_library", "base_model_class"}
    if (
        not isinstance(mapping, dict)
        or mapping.keys() != keys
        or f"{mapping['parent_library']}:{mapping['base_model_class']}" not in known
    ):
        raise ModelError(
            f"auto_mapping in '{file}' must name the class of a model that radapter adapts, got {mapping!r}. Remove "
            "it; only PEFT's AutoPeftModel reads it."
        )


def _check_names(key: str, names: Any, file: Path) -> None:
    """Requires a list of names: PEFT reads a string, and the names of modules to save, as regular expressions."""
    if names is not None and not (
        isinstance(names, list) and all(isinstance(n, str) and _NAME.fullmatch(n) for n in names)
    ):
        raise ModelError(f"{key} in '{file}' must be a list of names of modules, got {names!r}. Correct it.")
