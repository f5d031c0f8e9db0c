"""The list of tasks. A new task adds one line here and a module whose `TASK` describes it.

A task's module imports all layers of the package, so it is imported on first use: this lets lower layers ask for a
task's methods or its headline metric. This file imports nothing of radapter: the command line reads it for `--help`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar

TASKS = {
    "classification": "radapter.commands.classification",
    "retrieval": "radapter.commands.retrieval",
    "segmentation": "radapter.commands.segmentation",
}
"""Name of a task -> the module whose `TASK` is a `radapter.operations.task.Task`."""
DEFAULT_TASK = "classification"
"""The task of a run.yaml, a run or a source that does not name one."""

T = TypeVar("T")


def entry_of(task: str) -> Any:
    """Return the `Task` of that name. Raises KeyError if there is none."""
    return import_module(TASKS[task]).TASK


class OfEachTask(Mapping[str, T]):
    """One attribute of every task's entry, by the name of the task."""

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def __getitem__(self, task: str) -> T:
        found: T = getattr(entry_of(task), self._attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(TASKS)

    def __len__(self) -> int:
        return len(TASKS)
