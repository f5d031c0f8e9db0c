"""What each set of a run holds and where it comes from, in one line."""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from torch import Tensor

from radapter.config import CommonConfig
from radapter.data import ClassificationSet
from radapter.data.regions import REGIONS
from radapter.data.shards.stream import StreamSource
from radapter.data.source import Source, written
from radapter.errors import listed
from radapter.operations.task import task_of
from radapter.task_list import TASKS
from radapter.tasks.suite import Suite

_log = logging.getLogger(__name__)


def report_sets(suite: Suite, config: CommonConfig) -> None:
    """Log one line for each set of a run: images, classes, those without an image, and the source."""
    data = config.data
    tested = {
        ("id_val", "id_val"): data.id_val,
        **{("id", name): spec for name, spec in data.id_test.items()},
        **{("ood", name): spec for name, spec in data.ood.items()},
    }
    _report("train", suite.train, data.train, is_whole=True)
    for (role, name), opened in suite.sets("id_val", "id", "ood").items():
        label = name if name in ("id_val", "id_test") else f"{'id_test' if role == 'id' else role} {name}"
        _report(label, opened, tested[role, name], is_whole=role != "ood")


def set_in_words(data: ClassificationSet, chosen: Tensor | slice = slice(None)) -> str:
    """Return images and classes of a set or of its `chosen` rows: "12 images of 3 of 4 classes, none of cup"."""
    names = data.classnames
    counts = data.labels[chosen].bincount(minlength=len(names)).tolist()
    absent = [name for name, count in zip(names, counts, strict=True) if count == 0]
    images = f"{sum(counts):,} images of"
    if not absent:
        return f"{images} {len(names):,} classes"
    return f"{images} {len(names) - len(absent):,} of {len(names):,} classes, none of {listed(absent)}"


def in_flow(source: object) -> str:
    """Return a source, or a list of them, as one line of YAML, its kind first."""
    spec = written(source)
    if isinstance(spec, list) and len(spec) == 1:
        (spec,) = spec
    if isinstance(spec, Mapping):
        spec = {key: spec[key] for key in sorted(spec, key=lambda key: key not in kind_keys())}
    flow = yaml.safe_dump(spec, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return flow.removesuffix("...\n").strip()


@cache
def kind_keys() -> tuple[str, ...]:
    """Return the keys that select a kind of source, of all tasks."""
    of_tasks = [kind for task in TASKS for kind in task_of(task).sources]
    kinds: list[type[Source]] = [*of_tasks, *REGIONS, StreamSource]
    return tuple(kind.key() for kind in kinds)


def _report(name: str, opened: Any, spec: object, *, is_whole: bool) -> None:
    is_labelled = isinstance(opened, ClassificationSet) and is_whole
    what = set_in_words(opened) if is_labelled else f"{len(opened):,} images"
    _log.info("%s: %s, from %s", name, what, in_flow(spec))
