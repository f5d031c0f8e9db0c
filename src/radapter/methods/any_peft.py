"""Any method of PEFT that merges: DoRA, OFT, BOFT, HRA, VeRA, (IA)^3, LN tuning and others, by name.

    method: {name: peft, type: OFT, oft_block_size: 16}

Source: Mangrulkar et al., "PEFT: state-of-the-art parameter-efficient fine-tuning methods", 2022, and the papers of
its methods. `type` is PEFT's name, and "DORA" (Liu et al., ICML 2024) stands for LORA with `use_dora`. Every other
option is PEFT's. The loss is R-Adapter's, so that the rows differ only in the adapter.

By default, every Linear in the blocks is a target, and every LayerNorm of the towers for LN_TUNING. (IA)^3 scales
the projections' outputs and the inputs of the FFN's second layer. Training starts only if the merged model gives the
features of the adapted one: interpolation, evaluation and `radapter merge` all rely on that.
"""

import dataclasses
import re
import typing
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import NoneType
from typing import Any, Literal

import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, PeftConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner
from pydantic import ConfigDict, Field, model_validator
from torch import nn

from radapter.adapter.config import TOWERS
from radapter.adapter.sites import is_packed_attention, linear_sites
from radapter.errors import ConfigError, did_you_mean
from radapter.losses import FeatureLoss
from radapter.methods.learner import ContrastiveLearner
from radapter.methods.lora_attention import use_separate_pairs
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder, fingerprint
from radapter.models.certificate import TOLERANCES, certify, features_of, fixed_batch
from radapter.models.merging import adapted_copy, merge_in_place
from radapter.zeroshot import LinearHead

DORA = "DORA"
LISTS_OF_NAMES = ("target_modules", "exclude_modules", "feedforward_modules")
_NAME = re.compile(r"[\w.]+")
_LARGEST = 65_536  # of an option that is a whole number; sizes are among them
_OF_LORA = {
    "r",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "use_dora",
}  # the others change weights, or run code
_SIMPLE = (bool, int, float, NoneType)
_NOISE = 0.02  # of random adapters, which are merged as a check


def config_types() -> dict[str, type[PeftConfig]]:
    """PEFT's own methods that put layers into a model, by name: not prompts, and none of radapter's."""
    return {
        str(kind.value): config
        for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if config.__module__.startswith("peft.")
        and issubclass(PEFT_TYPE_TO_TUNER_MAPPING.get(kind, NoneType), BaseTuner)
        and "target_modules" in _fields(config)
    }


def option_problem(config: type[PeftConfig], name: str, value: object) -> str:
    """Why an option may not have this value, as the end of a sentence about it, or "".

    Numbers, truth values, the texts that PEFT lists, and names of modules are accepted. Nothing that PEFT would take
    for a path, a regular expression or code is.
    """
    if name in LISTS_OF_NAMES:
        names = [value] if not isinstance(value, list | set) else list(value)
        fits = isinstance(value, list | set | None) and all(
            each is None or (isinstance(each, str) and _NAME.fullmatch(each)) for each in names
        )
        return "" if fits else "must be a list of names of modules"
    kinds, texts = _accepted(config).get(name, ((), ()))
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        return "" if value in texts else f"must be one of {', '.join(texts)}" if texts else "must not be text"
    if not all(isinstance(item, kinds or ()) for item in items):
        return "must be of PEFT's type, and no text, mapping or path"
    if any(isinstance(item, int) and abs(item) > _LARGEST for item in items):
        return f"must be at most {_LARGEST:,}"
    return ""


def options_of(config: type[PeftConfig]) -> list[str]:
    """The options that users can set, without the names of modules."""
    return list(_accepted(config))


def _accepted(config: type[PeftConfig]) -> dict[str, tuple[tuple[type, ...], tuple[str, ...]]]:
    """Option -> the types of simple values that it takes, and the texts."""
    own = {field.name for field in dataclasses.fields(config)} - {
        field.name for field in dataclasses.fields(PeftConfig)
    }
    hints = typing.get_type_hints(config)
    found = {}
    for name in sorted(own & _OF_LORA if config is LoraConfig else own):
        members = _members(hints[name])
        kinds = tuple(kind for kind in _SIMPLE if kind in members)
        kinds += (int,) if float in kinds else ()
        texts = tuple(t for m in members if typing.get_origin(m) is Literal for t in typing.get_args(m))
        if any(kind is not NoneType for kind in kinds) or texts:
            found[name] = (kinds, tuple(text for text in texts if isinstance(text, str)))
    return found


def _members(hint: Any) -> list[Any]:
    origin = typing.get_origin(hint)
    if origin is Literal or origin is None:
        return [hint]
    if origin is dict:
        return []
    return [member for argument in typing.get_args(hint) for member in _members(argument)]


class PeftSettings(MethodSettings):
    """What users set of it: the type, and options of PEFT's configuration."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        default="LN_TUNING",
        description="PEFT's name of the method; further keys are options of its configuration",
    )

    @model_validator(mode="after")
    def _fits_peft(self) -> "PeftSettings":
        known = (DORA, *config_types())
        if self.type not in known:
            hint = did_you_mean(self.type, known)
            raise ValueError(f"method.type must be one of {', '.join(known)}. Got {self.type!r}.{hint}")
        config = _config_of(self.type)
        names = [*options_of(config), *(n for n in LISTS_OF_NAMES if n in _fields(config))]
        for name, value in self.options.items():
            if name not in names:
                hint = did_you_mean(name, names)
                raise ValueError(f"method.{name} is no option of {self.type} that can be set.{hint}")
            if problem := option_problem(config, name, value):
                raise ValueError(f"method.{name} {problem}. Got {value!r}.")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The options of PEFT's configuration."""
        return {
            name: value
            for name, value in (self.model_extra or {}).items()
            if name not in type(self).model_fields
        }


def _config_of(kind: str) -> type[PeftConfig]:
    """PEFT's configuration for a `type`."""
    return LoraConfig if kind == DORA else config_types()[kind]


def _fields(config: type[PeftConfig]) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


def build(
    encoder: DualEncoder,
    *,
    head: LinearHead,
    loss: FeatureLoss,
    settings: MethodSettings,
    towers: Sequence[str] = TOWERS,
) -> Built:
    """Trains PEFT's adapters in these towers. `head` is ignored.

    Raises ConfigError, which names the model, if PEFT refuses the configuration or the adapters do not merge.
    """
    assert isinstance(settings, PeftSettings)
    encoder.requires_grad_(False)
    options = {**_targets(encoder, settings, towers), **settings.options}
    if settings.type == DORA:
        options["use_dora"] = True
    what, base = (
        f"PEFT's {settings.type} in the {' and '.join(towers)} tower of '{encoder.name}'",
        fingerprint(encoder),
    )
    try:
        with quiet():
            config = _config_of(settings.type)(**options)
            prepare(config, encoder.module)
            adapters = get_peft_model(encoder.module, config)
    except Exception as error:  # PEFT's classes raise whatever they raise
        raise ConfigError(f"{what} is refused by PEFT: {error} Choose other options of 'method'.") from error
    if fingerprint(encoder) != base:
        raise ConfigError(f"{what} changes the frozen weights at the start. Choose another initialisation.")
    _check_merge(encoder, what)
    return Built(ContrastiveLearner(encoder, loss), adapters)


def prepare(config: PeftConfig, module: nn.Module) -> None:
    """Gives LoRA its layer for attentions with one matrix for q, k and v. Call it before adapters are loaded."""
    if isinstance(config, LoraConfig) and not config.use_dora:
        use_separate_pairs(config, module)


@contextmanager
def quiet() -> Iterator[None]:
    """A block without PEFT's advice on speed and on the sizes of layers, which is not about the result."""
    with warnings.catch_warnings():
        for advice in (
            "Unsupported layer type",
            "Failed to load the CUDA extension",
            "Setting boft_n_butterfly",
        ):
            warnings.filterwarnings("ignore", message=advice)
        yield


def _targets(encoder: DualEncoder, settings: PeftSettings, towers: Sequence[str]) -> dict[str, list[str]]:
    if "target_modules" in settings.options:
        return {}
    module, config = encoder.module, _config_of(settings.type)
    if config is LNTuningConfig:
        parts = {"image": encoder.image_tower(), "text": encoder.text_tower()}
        own = {
            id(m) for t in towers for part in parts[t] if isinstance(part, nn.Module) for m in part.modules()
        }
        return {
            "target_modules": [
                name
                for name, part in module.named_modules()
                if isinstance(part, nn.LayerNorm) and id(part) in own
            ]
        }
    sites = linear_sites(module, towers)
    if config is not LoraConfig or settings.type == DORA:
        for site in sites:
            part = module.get_submodule(site.name)
            if is_packed_attention(part):
                raise ConfigError(
                    f"PEFT's {settings.type} has no layer for {type(part).__name__}, which the {site.tower} tower "
                    f"of '{encoder.name}' has. Give method.target_modules without it, or the model in the form of "
                    "transformers."
                )
    names = [site.name for site in sites]
    if config is IA3Config:
        inputs = [site.name for site in sites if site.kind == "ffn"]
        outputs = [site.name for site in sites if site.kind == "projection"]
        return {"target_modules": [*outputs, *inputs], "feedforward_modules": inputs}
    return {"target_modules": names}


def _check_merge(encoder: DualEncoder, what: str) -> None:
    """Merges random adapters of a copy in float64 and compares the features."""
    batch = fixed_batch(encoder.towers, torch.float64)
    generator = torch.Generator().manual_seed(0)
    try:
        twin = adapted_copy(encoder.module).double()
        with torch.no_grad():
            for parameter in (p for p in twin.parameters() if p.requires_grad):
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(noise, alpha=_NOISE)
        before = features_of(twin, encoder.towers, batch)
        after = features_of(merge_in_place(twin), encoder.towers, batch)
        certify(before, after, torch.float64, tolerance=TOLERANCES[torch.float64])
    except Exception as error:  # PEFT's layers raise whatever they raise
        raise ConfigError(f"{what} cannot be merged into the tower's weights: {error}") from error


METHOD = Method(
    name="peft",
    summary="any PEFT method by type, here LN tuning; MPM-NCE",
    source="Mangrulkar et al. 2022",
    losses=("mpm-nce", "clip", "siglip"),
    learning_rate=2e-4,
    rate_source="CLIP-LoRA's release: most types have none for CLIP",
    build=build,
    settings_type=PeftSettings,
)
_IMAGE = ("image",)
IMAGE_TOWER = replace(METHOD, towers=_IMAGE, build=partial(build, towers=_IMAGE))
