"""What to train and how: one file a method, one row in this table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from radapter.errors import ConfigError, did_you_mean
from radapter.methods import (
    flyp,
    full,
    l2_sp,
    linear_probe,
    lora,
    lp_ft,
    mask_fill,
    r_adapter,
    soups,
    wise_ft,
    zero_shot,
)
from radapter.methods.learner import (
    ContrastiveLearner,
    HeadLearner,
    LabelledPairs,
    Learner,
    count_trained,
    learns,
    trained_parameters,
)
from radapter.methods.lora import LoraSettings
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.r_adapter import RAdapterSettings
from radapter.methods.soups import greedy_soup, uniform_soup
from radapter.task_list import OfEachTask

__all__ = [
    "GROUPS",
    "METHODS",
    "RENAMED",
    "RETRIEVAL",
    "SEGMENTATION",
    "TABLES",
    "Built",
    "ContrastiveLearner",
    "HeadLearner",
    "LabelledPairs",
    "Learner",
    "LoraSettings",
    "Method",
    "MethodSettings",
    "RAdapterSettings",
    "count_trained",
    "find_method",
    "find_methods",
    "greedy_soup",
    "groups_of",
    "learns",
    "trained_parameters",
    "trained_towers",
    "uniform_soup",
    "unknown_method",
]

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        linear_probe.METHOD,
        full.METHOD,
        flyp.METHOD,
        lp_ft.METHOD,
        l2_sp.METHOD,
        mask_fill.METHOD,
        soups.UNIFORM,
        soups.GREEDY,
        lora.METHOD,
        lora.RANK_STABILISED,
        wise_ft.METHOD,
        r_adapter.METHOD,
        r_adapter.WITH_HEAD,
        *r_adapter.PARTS,
    )
}


def _trained_as(full: Method, method: Method) -> Method:
    return replace(
        method,
        summary=method.summary.replace("full", full.name),
        runs=full.name,
        losses=full.losses,
        build=full.build,
        towers=full.towers,
        learning_rate=full.learning_rate,
        rate_source=full.rate_source,
        head_learning_rate=full.head_learning_rate,
    )


RETRIEVAL: dict[str, Method] = {
    method.name: method
    for method in (
        replace(zero_shot.METHOD, summary="nothing"),
        flyp.BOTH_TOWERS,
        lora.METHOD,
        lora.RANK_STABILISED,
        *(_trained_as(flyp.BOTH_TOWERS, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        r_adapter.METHOD,
        *(part for part in r_adapter.PARTS if part.losses == r_adapter.METHOD.losses),
    )
}
"""Without a head there is one way of fine-tuning everything: both towers, contrastively."""
SEGMENTATION: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        flyp.IMAGE_TOWER,
        *lora.IMAGE_TOWER,
        *(_trained_as(flyp.IMAGE_TOWER, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        replace(r_adapter.METHOD, summary="linear adapters in the image tower, MPM-NCE", towers=("image",)),
        *(
            replace(part, towers=("image",))
            for part in r_adapter.PARTS
            if part.losses == r_adapter.METHOD.losses and "towers" not in part.fixed
        ),
    )
}
"""The image tower learns regions, the text tower keeps the class names; all have R-Adapter's loss."""
TABLES: Mapping[str, Mapping[str, Method]] = OfEachTask("methods")
"""The methods of each task."""
RENAMED: Mapping[str, Mapping[str, str]] = OfEachTask("renamed_methods")
"""Former names of a task's methods, and today's."""
GROUPS: dict[str, tuple[str, ...]] = {
    "foundation": (
        *("zero-shot", "full", "full-both-towers", "full-image-tower"),
        *("flyp", "lora", "wise-ft", "r-adapter", "r-adapter+head"),
    ),
    "ablation": ("zero-shot", "r-adapter", *(part.name for part in r_adapter.PARTS)),
}
"""Names for several methods at once; "all" is another, see `groups_of`."""


def find_method(name: str, task: str = "classification") -> Method:
    """The row of that name in the table of a task.

    Raises:
        ConfigError: there is none; the message proposes the nearest.
    """
    table = TABLES[task]
    if name not in table:
        known = ", ".join(table)
        raise ConfigError(
            f"method must be one of {known} for {task}. Got '{name}'.{unknown_method(name, task)}"
        )
    return table[name]


def find_methods(names: Sequence[str], task: str = "classification") -> list[Method]:
    """The rows of those names, or of the groups of the task, each once, in the order given.

    Raises:
        ConfigError: there is no such method or group for the task; the message proposes the nearest.
    """
    table, groups = TABLES[task], groups_of(task)
    known = (*table, *groups)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"methods must be among {', '.join(known)} for {task}. Got '{name}'."
                f"{unknown_method(name, task)}"
            )
    return [table[row] for row in dict.fromkeys(row for name in names for row in groups.get(name, (name,)))]


def unknown_method(name: str, task: str) -> str:
    """Returns a sentence for an error: the new name or the nearest one in a task; empty where none is near."""
    if name in RENAMED.get(task, {}):
        return f" In {task}, '{name}' is now '{RENAMED[task][name]}'."
    return did_you_mean(name, (*TABLES[task], *groups_of(task)))


def groups_of(task: str) -> dict[str, tuple[str, ...]]:
    """`GROUPS` with the methods that a task has, and "all" of them that change no part of another."""
    table = TABLES[task]
    groups = {group: tuple(name for name in names if name in table) for group, names in GROUPS.items()}
    every = [name for name in {**METHODS, **table} if name in table and table[name].part_of is None]
    return {**groups, "all": tuple(every)}


def trained_towers(method: Method, settings: MethodSettings) -> tuple[str, ...]:
    """Returns the towers that a method trains with these settings."""
    if isinstance(settings, RAdapterSettings) and settings.towers is not None:
        return tuple(settings.towers)
    return method.towers
