"""What is looked at before a run writes its first file."""

import logging
import math
from collections.abc import Sequence, Sized
from pathlib import Path

from torch import nn

from radapter.adapter import block_names, find_sites
from radapter.adapter.selection import select_sites
from radapter.commands.building import absent_folder
from radapter.config import CommonConfig, differences, load_config
from radapter.config.schema import AdapterConfig
from radapter.errors import ConfigError, ModelError, RunError
from radapter.losses import bound_loss
from radapter.methods import TABLES, Method, groups_of
from radapter.models import DualEncoder
from radapter.protocol import CONFIG, Recipe, check_epochs, check_loss, check_tracking
from radapter.storage import check_writable
from radapter.training import check_precision

_LOG = logging.getLogger(__name__)
ENOUGH_IMAGES = 100
"""Validation images below which a choice of alpha is warned of."""
# What a method may fix of the recipe, and its key in `loss`.
_LOSS_KEYS = {"loss": "name", "margin": "margin", "label_smoothing": "label_smoothing"}


def check_settings(config: CommonConfig, method: Method) -> None:
    """Checks what can be checked without model and data.

    Raises:
        InputError: a setting that the method does not read, a loss or a number of epochs that does not fit it, a
            precision that this machine lacks, a tracker that is not installed.
    """
    for key, usual in unread_settings(config.adapter, method).items():
        table, names = TABLES[config.task], groups_of(config.task)["all"]
        readers = ", ".join(name for name in names if key in table[name].reads)
        raise ConfigError(
            f"adapter.{key} is for {readers}. Got {getattr(config.adapter, key)} with method '{method.name}', "
            f"which does not read it. Leave it out, or set adapter.{key}={as_yaml(usual)}."
        )
    for setting, key in _LOSS_KEYS.items():
        given = getattr(config.loss, key)
        if given is not None and setting in method.settings:
            raise ConfigError(
                f"loss.{key} is {method.settings[setting]} in method '{method.name}'. Got {given}. Leave it out."
            )
    check_loss(method, config.loss.name)
    check_epochs(method, config.train.epochs)
    check_tracking(config.tracking)
    check_precision(config.train.precision)


def unread_settings(adapter: AdapterConfig, method: Method) -> dict[str, object]:
    """What is set of the adapter and the method does not read, and each setting's default."""
    defaults = AdapterConfig()
    return {
        key: getattr(defaults, key)
        for key in AdapterConfig.model_fields
        if key not in method.reads and getattr(adapter, key) != getattr(defaults, key)
    }


def check_processes(config: CommonConfig, recipe: Recipe, processes: int) -> None:
    """Checks the settings against the number of processes.

    Raises:
        ConfigError: batches smaller than that, what draws from a generator where each process would draw for
            itself, or FSDP with what it does not go with.
    """
    train = config.train
    if train.batch_size < processes:
        raise ConfigError(
            f"train.batch_size must be at least the number of processes, {processes}: it counts the images of all "
            f"of them. Got {train.batch_size}. Give more images, or start fewer processes."
        )
    if processes > 1 and recipe.adapter.drop_kind == "dropout" and recipe.adapter.adapter_drop:
        raise ConfigError(
            f"adapter.drop_kind dropout draws elements from a generator, differently for every number of processes. "
            f"There are {processes}. Start one, or use adapter.drop_kind=adapter."
        )
    if not train.fsdp:
        return
    if processes == 1:
        raise ConfigError(
            "train.fsdp parts the weights among processes. There is one. Start several, such as torchrun "
            "--nproc-per-node 2, or leave it out."
        )
    for key, given, usual, why in (
        ("chunk_size", train.chunk_size, None, "processes would gather a block differently often"),
        ("keep", train.keep, "last", "validating after an epoch needs the whole model"),
        ("precision", train.precision == "fp16", False, "its gradient scaler sees one part alone; use bf16"),
    ):
        if given != usual:
            raise ConfigError(
                f"train.fsdp does not go with train.{key}={getattr(train, key)}: {why}. Leave one out."
            )


def check_model(encoder: DualEncoder, config: CommonConfig, recipe: Recipe, method: Method) -> None:
    """Checks the method, the adapter's settings and the loss against the model.

    Raises:
        ModelError: the model has no text tower, which reads captions and class names, or a tower no switch for
            gradient checkpointing.
        ConfigError: the rank is larger than the narrowest tower that gets adapters, or the loss does not take a
            setting, or does not fit the model.
        SiteError: towers or layers that the model lacks, or no place for an adapter.
    """
    check_text_tower(encoder)
    recipe = recipe.of(method)
    if recipe.fsdp:
        block_names(encoder.module)  # its units
    if recipe.gradient_checkpointing:
        with encoder.checkpointing(recipe.adapter.towers):
            pass
    if method.losses:
        bound_loss(
            recipe.loss or method.losses[0],
            margin=recipe.margin,
            label_smoothing=recipe.label_smoothing,
            logit_bias=encoder.logit_bias,
        )
    if "init_scale" not in method.reads:
        if "r" in method.reads:
            find_sites(encoder.module)  # LoRA's matrices lie around these
            if recipe.fsdp and any(
                isinstance(part, nn.MultiheadAttention) for part in encoder.module.modules()
            ):
                raise ConfigError(
                    f"train.fsdp parts no nn.MultiheadAttention with LoRA, whose weights PEFT takes out of the "
                    f"module. '{encoder.name}' has them. Leave one out, or give the model as transformers has it."
                )
        return
    adapter = recipe.adapter
    narrowest = min(find_sites(encoder.module, towers=adapter.towers), key=lambda site: site.width)
    if adapter.r is not None and adapter.r > narrowest.width:
        raise ConfigError(
            f"adapter.r must be null or an int in [1, {narrowest.width}], the width of the {narrowest.tower} tower "
            f"of '{encoder.name}'. Got {adapter.r}. Use adapter.r=null for the full matrix."
        )
    select_sites(encoder.module, adapter)


def report_few_validation_images(
    id_val: Sized | None, config: CommonConfig, methods: Sequence[Method]
) -> None:
    """Warns where alpha is chosen on so few images that it may become 0 although training helped.

    Args:
        id_val: the validation set; None where there is none.
        config: says whether alpha is chosen.
        methods: that are trained.
    """
    chosen = config.adapter.alpha == "auto" and any(
        method.alpha == "auto" and method.build is not None for method in methods
    )
    if id_val is None or len(id_val) >= ENOUGH_IMAGES or not chosen:
        return
    # one image in ten differs: b + c = n / 10, so the paired error is at most sqrt(1 / (10 n))
    error = 100 * math.sqrt(0.1 / max(len(id_val), 1))
    _LOG.warning(
        "data.id_val has %d images, few for choosing alpha. If training changes the answer for one image in ten, a "
        "gain below about %.1f points is within one standard error, and a smaller alpha is chosen, possibly 0, the "
        "zero-shot model. Use at least %d images, or give adapter.alpha a number.",
        len(id_val),
        error,
        ENOUGH_IMAGES,
    )


def check_text_tower(encoder: DualEncoder) -> None:
    """Raises where a model cannot read texts.

    Raises:
        ModelError: it has no text tower.
    """
    if not encoder.context_length:
        raise ModelError(
            f"model must have a text tower: it reads captions and class names. '{encoder.name}' has none. Give a "
            "CLIP-like model."
        )


def check_run_folder(config: CommonConfig, *, resume: bool) -> bool:
    """Checks that `out` is new, or, to resume, that it is new or holds a run of these settings.

    Returns:
        Whether it is new.

    Raises:
        RunError: it is in the way, or cannot be written; the message has what differs, and the remedy.
    """
    out = Path(config.out)
    check_writable(out)
    if absent_folder(out):
        return True
    if not (out / CONFIG).is_file():
        raise RunError(
            f"run folder must be new or hold a run. '{out}' holds something else. Give another --out."
        )
    changed = differences(config, load_config(out / CONFIG))
    if changed:
        raise RunError(
            f"run folder '{out}' holds a run with other settings: {'; '.join(changed)}. Give another --out, or "
            "the same settings and --resume."
        )
    if not resume:
        raise RunError(
            f"run folder '{out}' holds this run already. Continue it with --resume, or give another --out."
        )
    return False


def as_yaml(value: object) -> str:
    """A value as an override on the command line has it."""
    return "null" if value is None else str(value)
