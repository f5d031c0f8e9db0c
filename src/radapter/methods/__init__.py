"""What to train and how: one file a method, one row in this table."""

from collections.abc import Sequence
from dataclasses import replace

from radapter.errors import ConfigError, did_you_mean
from radapter.methods import (
    flyp,
    full,
    image_tower,
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
from radapter.methods.method import Built, Method
from radapter.methods.soups import greedy_soup, uniform_soup

__all__ = [
    "GROUPS",
    "METHODS",
    "RETRIEVAL",
    "SEGMENTATION",
    "TABLES",
    "Built",
    "ContrastiveLearner",
    "HeadLearner",
    "LabelledPairs",
    "Learner",
    "Method",
    "count_trained",
    "find_method",
    "find_methods",
    "greedy_soup",
    "groups_of",
    "learns",
    "trained_parameters",
    "uniform_soup",
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
    """A method that shares the training of `full`, where a task's `full` is another one."""
    return replace(
        method,
        losses=full.losses,
        build=full.build,
        learning_rate=full.learning_rate,
        rate_source=full.rate_source,
        head_learning_rate=full.head_learning_rate,
    )


_BOTH_TOWERS = replace(
    flyp.METHOD,
    name="full",
    summary="both towers, CLIP's loss, not interpolated",
    runs="full",
    alpha=full.METHOD.alpha,
    reads=full.METHOD.reads,
)
RETRIEVAL: dict[str, Method] = {
    method.name: method
    for method in (
        replace(zero_shot.METHOD, summary="nothing"),
        _BOTH_TOWERS,
        lora.METHOD,
        lora.RANK_STABILISED,
        *(_trained_as(_BOTH_TOWERS, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        r_adapter.METHOD,
        *(part for part in r_adapter.PARTS if part.losses == r_adapter.METHOD.losses),
    )
}
"""Without a head there is one way of fine-tuning everything: both towers, contrastively."""
_IMAGE_TOWER = replace(
    full.METHOD,
    summary="image tower, MPM-NCE, not interpolated",
    losses=r_adapter.METHOD.losses,
    build=image_tower.build,
    head_learning_rate=None,
)
SEGMENTATION: dict[str, Method] = {
    method.name: method
    for method in (
        zero_shot.METHOD,
        _IMAGE_TOWER,
        *lora.IMAGE_TOWER,
        *(_trained_as(_IMAGE_TOWER, method) for method in (wise_ft.METHOD, soups.UNIFORM, soups.GREEDY)),
        replace(r_adapter.METHOD, summary="linear adapters in the image tower, MPM-NCE"),
        *(
            part
            for part in r_adapter.PARTS
            if part.losses == r_adapter.METHOD.losses and "towers" not in part.adapter_settings
        ),
    )
}
"""The image tower learns regions, the text tower keeps the class names; all have R-Adapter's loss."""
TABLES: dict[str, dict[str, Method]] = {
    "classification": METHODS,
    "retrieval": RETRIEVAL,
    "segmentation": SEGMENTATION,
}
"""The methods of each task."""
GROUPS: dict[str, tuple[str, ...]] = {
    "foundation": ("zero-shot", "full", "flyp", "lora", "wise-ft", "r-adapter", "r-adapter+head"),
    "all": tuple(name for name, method in METHODS.items() if method.part_of is None),
    "ablation": ("zero-shot", "r-adapter", *(part.name for part in r_adapter.PARTS)),
}
"""Names for several methods at once."""


def find_method(name: str, task: str = "classification") -> Method:
    """The row of that name in the table of a task.

    Raises:
        ConfigError: there is none; the message proposes the nearest.
    """
    table = TABLES[task]
    if name not in table:
        known = ", ".join(table)
        raise ConfigError(
            f"method must be one of {known} for {task}. Got '{name}'.{did_you_mean(name, table)}"
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
                f"methods must be among {', '.join(known)} for {task}. Got '{name}'.{did_you_mean(name, known)}"
            )
    return [table[row] for row in dict.fromkeys(row for name in names for row in groups.get(name, (name,)))]


def groups_of(task: str) -> dict[str, tuple[str, ...]]:
    """`GROUPS` with the methods that a task has."""
    return {group: tuple(name for name in names if name in TABLES[task]) for group, names in GROUPS.items()}
