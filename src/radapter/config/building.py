"""From a checked configuration to the objects that a run is made of. Configurations are not passed further."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from radapter.config.schema import TRAIN_KEYS, CommonConfig, CommonData
from radapter.config.sources import CorruptedCopy
from radapter.data.source import Source
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.task_list import OfEachTask
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite

AnySource = TypeVar("AnySource", bound=Source)
_SUITES: Mapping[str, Callable[[Any, DualEncoder, Processes], Suite]] = OfEachTask("suite")


def recipe_of(config: CommonConfig) -> Recipe:
    """Return the settings of the training."""
    return Recipe(
        settings=config.methods.settings(config.method),
        loss=config.loss.name,
        margin=config.loss.margin,
        label_smoothing=config.loss.label_smoothing,
        anchor=config.loss.anchor,
        train_scale=config.loss.train_scale,
        anchor_words=tuple(config.loss.anchor_words),
        learning_rate=config.train.lr,
        max_bad=config.data.max_bad,
        **{key: getattr(config.train, key) for key in TRAIN_KEYS},
    )


def suite_of(config: CommonConfig, encoder: DualEncoder, processes: Processes = ALONE) -> Suite:
    """Open every data set of a configuration.

    The encoder, before training, mines regions, gives the size of crops and counts the tokens of captions. All
    processes call this; the main one mines.

    Raises:
        InputError: a data set, a class list or a template is missing or wrong, or batches cannot be filled.
    """
    return _SUITES[config.task](config, encoder, processes)


def tested_sets(
    data: CommonData, read: Callable[..., Any], source_of: Callable[[Any], Source]
) -> dict[str, Any]:
    """Open the validation and test sets as the fields of a suite; `read` opens a source with a `name`."""
    return {
        "id_val": None if data.id_val is None else read(data.id_val, name="id_val"),
        "id_test": {name: read(source, name=name) for name, source in data.id_test.items()},
        "ood": {
            name: read(source, name=name)
            for name, source in shifted_sources(data.ood, data.id_test, source_of).items()
        },
    }


def tested_source(data: CommonData, role: str, name: str, source_of: Callable[[Any], Source]) -> Any:
    """Return the source of the ID or OOD test set of that name."""
    return data.id_test[name] if role == "id" else shifted_sources(data.ood, data.id_test, source_of)[name]


def shifted_sources(
    ood: Mapping[str, str | AnySource | CorruptedCopy],
    id_test: Mapping[str, str | AnySource],
    source_of: Callable[[str | AnySource], AnySource],
) -> dict[str, str | AnySource]:
    """Return the name and the source of every shifted test set, with corrupted copies written out.

    A copy has the content hashes of its originals, so the leak guard treats both alike.
    """
    found: dict[str, str | AnySource] = {}
    for name, source in ood.items():
        if isinstance(source, CorruptedCopy):
            corruption = {"type": source.type, "severity": source.severity, "seed": source.seed}
            found[name] = source_of(id_test[source.corrupt]).replaced(corrupt=corruption)
        else:
            found[name] = source
    return found
