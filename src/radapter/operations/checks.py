"""Checks of a run before it writes its first file."""

import copy
import logging
import math
from collections.abc import Sequence, Sized
from pathlib import Path

from torch import nn

from radapter.adapter import block_names, find_sites
from radapter.adapter.selection import select_sites
from radapter.config import CommonConfig, differences, load_stored
from radapter.errors import ConfigError, ModelError, RunError
from radapter.methods import TABLES, LoraSettings, Method, RAdapterSettings, groups_of, trained_towers
from radapter.methods.adaptformer import AdaptFormerSettings
from radapter.methods.any_peft import PeftSettings
from radapter.methods.repadapter import RepAdapterSettings
from radapter.models import DualEncoder
from radapter.runs.directory import CONFIG
from radapter.runs.fine_tuning import check_contrastive, check_epochs, check_loss, loss_of
from radapter.runs.trackers import check_tracking
from radapter.storage import check_writable, is_lock_or_draft
from radapter.tasks.recipe import Recipe
from radapter.training import check_precision
from radapter.zeroshot import LinearHead

_LOG = logging.getLogger(__name__)
ENOUGH_IMAGES = 100
"""With fewer validation images, choosing alpha gives a warning."""
FIXABLE = {
    "loss": ("loss", "name"),
    "margin": ("loss", "margin"),
    "label_smoothing": ("loss", "label_smoothing"),
    "ema_decay": ("train", "ema_decay"),
    "anchor": ("loss", "anchor"),
    "train_scale": ("loss", "train_scale"),
}
"""Settings that a method may fix -> the section and key of run.yaml that is then not read."""


def check_settings(config: CommonConfig, method: Method) -> None:
    """Check what needs neither model nor data.

    Raises:
        InputError: the method does not read a key or does not fit the loss or the number of epochs, or this machine
            lacks the precision or the tracker.
    """
    if method.alpha != "auto" and config.select.alpha != "auto":
        table, names = TABLES[config.task], groups_of(config.task)["all"]
        readers = ", ".join(name for name in names if table[name].alpha == "auto")
        raise ConfigError(
            f"select.alpha is for {readers}. Got {config.select.alpha} with method '{method.name}', which is always "
            f"at alpha {method.alpha:g}. Leave it out, or set select.alpha=auto."
        )
    for setting, (section, key) in FIXABLE.items():
        given, default = value_and_default(config, section, key)
        if given == default:
            continue
        if setting in method.fixed_recipe:
            raise ConfigError(
                f"{section}.{key} is {method.fixed_recipe[setting]} in method '{method.name}'. Got {given}. "
                "Leave it out."
            )
        if setting == "ema_decay" and method.build is None:
            raise ConfigError(
                f"train.ema_decay is for methods that train. Got {given} with method '{method.name}'. Leave it out."
            )
    if config.train.lr is not None and method.build is not None and not method.is_optimized:
        raise ConfigError(
            f"train.lr is for methods with a training loop. Got {config.train.lr} with method '{method.name}'. "
            "Leave it out."
        )
    if config.loss.anchor_words and config.loss.anchor is None and "anchor" not in method.fixed_recipe:
        raise ConfigError(
            f"loss.anchor_words is for loss.anchor. Got {len(config.loss.anchor_words)} words without it. Set "
            "loss.anchor=1, or leave them out."
        )
    check_contrastive(method, anchor=config.loss.anchor, train_scale=config.loss.train_scale)
    check_loss(method, config.loss.name)
    check_epochs(method, config.train.epochs)
    check_tracking(config.tracking)
    check_precision(config.train.precision)


def value_and_default(config: CommonConfig, section: str, key: str) -> tuple[object, object]:
    """Return the value of a key of run.yaml, and its default."""
    part = getattr(config, section)
    return getattr(part, key), type(part).model_fields[key].default


def check_processes(config: CommonConfig, recipe: Recipe, processes: int) -> None:
    """Check the settings against the number of processes.

    Raises:
        ConfigError: a batch is smaller, a setting draws differently in each process, or FSDP does not support one.
    """
    train = config.train
    if train.batch_size < processes:
        raise ConfigError(
            f"train.batch_size must be at least the number of processes, {processes}: it counts the images of all "
            f"of them. Got {train.batch_size}. Give more images, or start fewer processes."
        )
    adapter = recipe.settings if isinstance(recipe.settings, RAdapterSettings) else None
    if processes > 1 and adapter is not None and adapter.drop_kind == "dropout" and adapter.drop:
        raise ConfigError(
            f"method.drop_kind dropout draws elements from a generator, differently for every number of processes. "
            f"There are {processes}. Start one, or use method.drop_kind=adapter."
        )
    if not train.fsdp:
        return
    if processes == 1:
        raise ConfigError(
            "train.fsdp shards the weights across processes. There is one. Start several, such as torchrun "
            "--nproc-per-node 2, or leave it out."
        )
    if config.loss.train_scale:
        raise ConfigError(
            "train.fsdp does not go with loss.train_scale: a number cannot be sharded. Got true for both. Leave one "
            "out."
        )
    for key, given, usual, why in (
        ("chunk_size", train.chunk_size, None, "processes would gather a block differently often"),
        ("keep", train.keep, "last", "validating after an epoch needs the whole model"),
        ("precision", train.precision == "fp16", False, "its gradient scaler sees only one shard; use bf16"),
    ):
        if given != usual:
            raise ConfigError(
                f"train.fsdp does not go with train.{key}={getattr(train, key)}: {why}. Leave one out."
            )


def check_model(encoder: DualEncoder, config: CommonConfig, recipe: Recipe, method: Method) -> None:
    """Check the method, the adapter's settings and the loss against the model.

    Raises:
        ModelError: the model has no text tower, or a tower does not support gradient checkpointing.
        ConfigError: the rank is larger than the narrowest tower with adapters, the loss does not fit a setting or
            the model, or PEFT's adapters do not merge into it.
        SiteError: the model lacks a tower, a layer or a place for an adapter.
    """
    check_text_tower(encoder)
    recipe = recipe.of(method)
    if recipe.fsdp:
        block_names(encoder.module)  # its units
    if recipe.fsdp and recipe.settings.projection:
        raise ConfigError(
            f"train.fsdp does not fit '{method.name}', whose optimizer keeps whole tensors. Leave it out."
        )
    if recipe.gradient_checkpointing:
        with encoder.checkpointing(trained_towers(method, recipe.settings)):
            pass
    if method.losses:
        loss_of(method, recipe, encoder)
    if method.check is not None:
        method.check(encoder, recipe.settings)
    if isinstance(recipe.settings, LoraSettings):
        find_sites(encoder.module)  # LoRA's matrices are around these
        if recipe.fsdp and any(isinstance(part, nn.MultiheadAttention) for part in encoder.module.modules()):
            raise ConfigError(
                f"train.fsdp does not shard nn.MultiheadAttention with LoRA, whose weights PEFT removes from the "
                f"module. '{encoder.name}' has them. Leave one out, or give the model in the form of transformers."
            )
    if isinstance(recipe.settings, AdaptFormerSettings | RepAdapterSettings | PeftSettings):
        assert method.build is not None
        head = LinearHead(next(encoder.parameters()).new_zeros(1, encoder.embed_dim))
        loss = loss_of(method, recipe, encoder)
        method.build(copy.deepcopy(encoder), head=head, loss=loss, settings=recipe.settings)
    if not isinstance(recipe.settings, RAdapterSettings):
        return
    adapter = recipe.settings.adapter()
    narrowest = min(find_sites(encoder.module, towers=adapter.towers), key=lambda site: site.width)
    if adapter.r is not None and adapter.r > narrowest.width:
        raise ConfigError(
            f"method.r must be null or an int in [1, {narrowest.width}], the width of the {narrowest.tower} tower "
            f"of '{encoder.name}'. Got {adapter.r}. Use method.r=null for the full matrix."
        )
    select_sites(encoder.module, adapter)


def report_few_validation_images(
    id_val: Sized | None, config: CommonConfig, methods: Sequence[Method]
) -> None:
    """Warn if alpha is chosen on so few images that it may become 0 although training helped."""
    chosen = config.select.alpha == "auto" and any(
        method.alpha == "auto" and method.build is not None for method in methods
    )
    if id_val is None or len(id_val) >= ENOUGH_IMAGES or not chosen:
        return
    # one image in ten differs: b + c = n / 10, so the paired error is at most sqrt(1 / (10 n))
    error = 100 * math.sqrt(0.1 / max(len(id_val), 1))
    _LOG.warning(
        "data.id_val has %d images, few for choosing alpha. If training changes the answer for one image in ten, a "
        "gain below about %.1f points is within one standard error, and a smaller alpha is chosen, possibly 0, the "
        "zero-shot model. Use at least %d images, or give select.alpha a number.",
        len(id_val),
        error,
        ENOUGH_IMAGES,
    )


def check_text_tower(encoder: DualEncoder) -> None:
    """Raise ModelError if a model has no text tower."""
    if not encoder.context_length:
        raise ModelError(
            f"model must have a text tower: it reads captions and class names. '{encoder.name}' has none. Give a "
            "CLIP-like model."
        )


def absent_folder(path: Path) -> bool:
    """Whether `path` is free: absent, or a folder with only a lock and drafts."""
    return not path.exists() or (path.is_dir() and all(map(is_lock_or_draft, path.iterdir())))


def check_run_folder(config: CommonConfig, *, resume: bool) -> bool:
    """Return whether `out` is new; to resume, it may hold a run of the same settings.

    Raises:
        RunError: it holds something else, or cannot be written.
    """
    out = Path(config.out)
    check_writable(out)
    if absent_folder(out):
        return True
    if not (out / CONFIG).is_file():
        raise RunError(
            f"run folder must be new or hold a run. '{out}' holds something else. Give another --out."
        )
    changed = differences(config, load_stored(out / CONFIG))
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
