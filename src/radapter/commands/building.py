"""From a checked configuration to the objects that a run is made of. Configurations go no further than here."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from radapter.adapter import RAdapterConfig
from radapter.config import RunConfig
from radapter.data import ClassificationSet, open_classification
from radapter.protocol import ClassificationSuite, Recipe, TransferSet
from radapter.zeroshot import templates


def recipe_of(config: RunConfig) -> Recipe:
    """Every number of the training."""
    adapter, train, loss = config.adapter, config.train, config.loss
    return Recipe(
        adapter=RAdapterConfig(
            r=adapter.r,
            adapter_drop=adapter.drop,
            drop_kind=adapter.drop_kind,
            init_scale=adapter.init_scale,
            layers_to_transform=adapter.layers_to_transform,
            towers=("image", "text") if adapter.towers is None else tuple(adapter.towers),
        ),
        ema_decay=adapter.ema_decay,
        loss=loss.name,
        margin=loss.margin,
        label_smoothing=loss.label_smoothing,
        epochs=train.epochs,
        batch_size=train.batch_size,
        learning_rate=train.lr,
        weight_decay=train.weight_decay,
        warmup_steps=train.warmup_steps,
        precision=train.precision,
        grad_clip=train.grad_clip,
        crop_scale=train.crop_scale,
        flip=train.flip,
        workers=train.workers,
        eval_batch_size=train.eval_batch_size,
        checkpoint_every=train.checkpoint_every,
        keep=train.keep,
        max_skipped=train.max_skipped,
        max_bad=config.data.max_bad,
    )


def suite_of(config: RunConfig) -> ClassificationSuite:
    """Every data set, opened; the class names are the user's, else those of the training set.

    Raises:
        InputError: a data set, a class list or a template is missing or wrong.
    """
    data = config.data
    read = partial(
        open_classification,
        max_pixels=data.max_pixels,
        max_bad=data.max_bad,
        allow_download=config.allow_download,
    )
    train = read(data.train, classnames=data.classnames, name="train")
    names = train.classnames
    return ClassificationSuite(
        train=train,
        id_val=None if data.id_val is None else read(data.id_val, classnames=names, name="id_val"),
        id_test={name: read(spec, classnames=names, name=name) for name, spec in data.id_test.items()},
        ood={name: read(spec, classnames=names, name=name) for name, spec in data.ood.items()},
        classnames=names,
        templates=templates(data.templates),
        transfer={
            name: _transfer_set(name, spec, data.templates, read) for name, spec in data.transfer.items()
        },
    )


def _transfer_set(
    name: str,
    spec: str | Mapping[str, Any],
    common: Sequence[str] | str,
    read: Callable[..., ClassificationSet],
) -> TransferSet:
    """A set under its own class names; its templates stand beside its source."""
    own = dict(spec) if isinstance(spec, Mapping) else {}
    prompts = own.pop("templates", common)
    return TransferSet(read(own or spec, name=name), templates(prompts))


def test_suite(
    sets: Mapping[str, ClassificationSet], classnames: Sequence[str], prompts: Sequence[str]
) -> ClassificationSuite:
    """A suite that is only evaluated: nothing is trained or selected on it."""
    first = next(iter(sets.values()))
    return ClassificationSuite(
        train=first, id_val=None, id_test=sets, ood={}, classnames=tuple(classnames), templates=tuple(prompts)
    )


def absent_folder(path: Path) -> bool:
    """Whether nothing stands in the way at `path`: it is absent, or a folder that holds at most a lock."""
    return not path.exists() or (path.is_dir() and all(file.name == ".lock" for file in path.iterdir()))
