"""What to train and how: one file per method or family, one row per method in this table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from radapter.errors import ConfigError, did_you_mean
from radapter.methods import (
    adaptformer,
    all_linear,
    any_peft,
    car_ft,
    clip_adapter,
    cocoop,
    coop,
    flyp,
    frozen,
    full,
    l2_sp,
    lines,
    lipsum_ft,
    lora,
    maple,
    mask_fill,
    model_stock,
    r_adapter,
    repadapter,
    soups,
    spd,
    tip_adapter,
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
    "GROUPS", "METHODS", "RENAMED", "RETRIEVAL", "SEGMENTATION", "TABLES", "Built", "ContrastiveLearner",
    "HeadLearner", "LabelledPairs", "Learner", "LoraSettings", "Method", "MethodSettings", "RAdapterSettings",
    "count_trained", "find_method", "find_methods", "greedy_soup", "groups_of", "learns",
    "trained_parameters", "trained_towers", "uniform_soup", "unknown_method",
]  # fmt: skip


def _by_name(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


METHODS = _by_name(
    frozen.ZERO_SHOT,
    frozen.LINEAR_PROBE,
    full.METHOD,
    flyp.METHOD,
    full.LP_FT,
    l2_sp.METHOD,
    mask_fill.METHOD,
    soups.UNIFORM,
    soups.GREEDY,
    lora.METHOD,
    lora.RANK_STABILISED,
    full.WISE_FT,
    r_adapter.METHOD,
    r_adapter.WITH_HEAD,
    clip_adapter.METHOD,
    tip_adapter.FROZEN,
    tip_adapter.TRAINED,
    coop.METHOD,
    cocoop.METHOD,
    maple.METHOD,
    car_ft.METHOD,
    lipsum_ft.METHOD,
    r_adapter.ANCHORED,
    *r_adapter.PARTS,
    all_linear.METHOD,
    adaptformer.METHOD,
    repadapter.METHOD,
    any_peft.METHOD,
    model_stock.METHOD,
    lines.METHOD,
    spd.METHOD,
)

_HEADLESS_PARTS = tuple(part for part in r_adapter.PARTS if part.losses == r_adapter.METHOD.losses)


def _averaged(whole: Method) -> tuple[Method, ...]:
    """WiSE-FT and the rules for weights of `whole`, which takes the place of `full` in tasks without a head."""
    return tuple(
        replace(
            whole,
            name=method.name,
            summary=method.summary.replace("full", whole.name),
            source=method.source,
            alpha=method.alpha,
            averages=method.averages,
        )
        for method in (full.WISE_FT, soups.UNIFORM, soups.GREEDY, model_stock.METHOD, lines.METHOD)
    )


RETRIEVAL = _by_name(
    replace(frozen.ZERO_SHOT, summary="nothing"),
    flyp.BOTH_TOWERS,
    lora.METHOD,
    lora.RANK_STABILISED,
    *_averaged(flyp.BOTH_TOWERS),
    r_adapter.METHOD,
    *_HEADLESS_PARTS,
    all_linear.METHOD,
    adaptformer.METHOD,
    repadapter.METHOD,
    any_peft.METHOD,
)
"""Without a head there is one way of fine-tuning everything: both towers, contrastively."""
SEGMENTATION = _by_name(
    frozen.ZERO_SHOT,
    flyp.IMAGE_TOWER,
    *lora.IMAGE_TOWER,
    *_averaged(flyp.IMAGE_TOWER),
    replace(r_adapter.METHOD, summary="linear adapters in the image tower, MPM-NCE", towers=("image",)),
    *(replace(part, towers=("image",)) for part in _HEADLESS_PARTS if "towers" not in part.fixed),
    replace(all_linear.METHOD, towers=("image",)),
    adaptformer.IMAGE_TOWER,
    repadapter.IMAGE_TOWER,
    any_peft.IMAGE_TOWER,
)
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
    """The method of that name in a task. Raises ConfigError if there is none; it proposes the nearest."""
    _check_known([name], TABLES[task], task, "method must be one of")
    return TABLES[task][name]


def find_methods(names: Sequence[str], task: str = "classification") -> list[Method]:
    """The methods of those names, or of the task's groups, each once, in the order given. Raises ConfigError for an
    unknown name; it proposes the nearest."""
    table, groups = TABLES[task], groups_of(task)
    _check_known(names, (*table, *groups), task, "methods must be among")
    return [table[row] for row in dict.fromkeys(row for name in names for row in groups.get(name, (name,)))]


def _check_known(names: Sequence[str], known: Iterable[str], task: str, requirement: str) -> None:
    for name in names:
        if name not in known:
            hint = unknown_method(name, task)
            raise ConfigError(f"{requirement} {', '.join(known)} for {task}. Got '{name}'.{hint}")


def unknown_method(name: str, task: str) -> str:
    """A sentence for an error: the new name of a method or the nearest one, with a leading space, or empty."""
    if name in RENAMED.get(task, {}):
        return f" In {task}, '{name}' is now '{RENAMED[task][name]}'."
    if name in METHODS and name not in TABLES[task]:
        return f" '{name}' classifies images into a list of classes, so it is for classification alone."
    return did_you_mean(name, (*TABLES[task], *groups_of(task)))


def why_unmergeable(name: str, task: str) -> str:
    """Why the weights of a method cannot be merged; empty if they can, or the method is not in the list."""
    method = TABLES[task].get(name)
    return "" if method is None else method.unmergeable


def groups_of(task: str) -> dict[str, tuple[str, ...]]:
    """`GROUPS` with the methods that a task has, and "all" of them that change no part of another."""
    table = TABLES[task]
    groups = {group: tuple(name for name in names if name in table) for group, names in GROUPS.items()}
    every = [name for name in {**METHODS, **table} if name in table and table[name].part_of is None]
    return {**groups, "all": tuple(every)}


def trained_towers(method: Method, settings: MethodSettings) -> tuple[str, ...]:
    """The towers that a method trains with these settings."""
    if isinstance(settings, RAdapterSettings) and settings.towers is not None:
        return tuple(settings.towers)
    return method.towers
