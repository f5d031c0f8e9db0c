"""The entry of a task: all that differs between tasks, as one value.

A task's module defines one, `TASK`, and `radapter.task_list` has a line for the module. All other code looks the
entry up by the task's name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

from rich.table import Table

from radapter.config import CommonConfig
from radapter.data.source import Reading, Source
from radapter.evaluation import Headline
from radapter.methods import Method
from radapter.models import DualEncoder
from radapter.report.metrics import Shown
from radapter.runs.results import Results
from radapter.task_list import entry_of
from radapter.tasks.suite import Suite
from radapter.zeroshot import LinearHead
from radapter.zeroshot import templates as templates_of

Spec = dict[str, Any]
"""A source as run.yaml has it."""


class Asked(NamedTuple):
    """What `evaluate --data` was asked to evaluate.

    Attributes:
        what: A run directory or a model.
        config: The run's; None for a model.
        about: What the run or the merged folder records.
        sources: By name.
        classnames, templates: As given; None if they were not.
    """

    what: str
    config: CommonConfig | None
    about: Mapping[str, Any]
    encoder: DualEncoder
    sources: Mapping[str, str | Spec]
    reading: Reading
    classnames: tuple[str, ...] | None
    templates: tuple[str, ...] | None

    @property
    def prompts(self) -> tuple[str, ...]:
        """The given templates, else the run's, else the short ones."""
        return tuple(self.templates or self.about.get("templates") or templates_of("short"))


class Opened(NamedTuple):
    """A suite to evaluate; a head in place of the zero-shot head; a note to print."""

    suite: Suite
    head: LinearHead | None = None
    note: str | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Task:
    """What differs between tasks.

    Attributes:
        config: The schema of run.yaml.
        suite: Opens the data sets of a configuration, given the encoder.
        headline: The metric that is averaged over sets, compared and used to choose.
        renamed_methods: Former name of a method -> its name.
        sources: The kinds of source of a test set.
        path_source: The source that a path alone is; None if a path alone says too little.
        recognises: Whether a mapping is a source of this task, beyond having a key that only its kinds have.
        example: A source, for messages and suggested commands.
        run_yaml: The file that `radapter init` writes.
        tested: Opens the sets of `evaluate --data`.
        options: The options of `evaluate --data` that apply.
        check_texts: Checks the class names of a suite against the text tower and the methods.
        check_data: Prints what a source holds, for `data check`, and returns it.
        metrics: How each metric is shown; the first is the headline, as a share of its largest value.
        metrics_beside: Metrics whose means are shown beside the headline's, and their headers.
        shared_metrics: Metrics that are equal for all methods, and their names.
        page: The Markdown that follows the table of results.
        table_below: The table that follows it in the terminal.
    """

    config: type[CommonConfig]
    suite: Callable[[Any, DualEncoder], Suite]
    headline: Headline
    renamed_methods: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[type[Source]]
    path_source: Callable[[str], Source] | None
    recognises: Callable[[Spec], bool] = lambda spec: False
    example: str
    run_yaml: Path
    tested: Callable[[Asked], Opened]
    options: Sequence[str] = ()
    check_texts: Callable[[Any, DualEncoder, Sequence[Method]], None] | None = None
    check_data: Callable[..., object]
    metrics: Mapping[str, Shown]
    metrics_beside: Mapping[str, str] = field(default_factory=dict)
    shared_metrics: Mapping[str, str] = field(default_factory=dict)
    page: Callable[[Results], str] | None = None
    table_below: Callable[[Results], Table] | None = None

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods, by name."""
        return self.config.methods.table

    @property
    def has_head(self) -> bool:
        """Whether a method trains a head."""
        return any(method.trains_head for method in self.methods.values())

    @property
    def has_transfer(self) -> bool:
        """Whether test sets may have classes of their own."""
        data = self.config.model_fields["data"].annotation
        return "transfer" in getattr(data, "model_fields", {})


def task_of(name: str) -> Task:
    """Return the entry of a task in the list."""
    entry: Task = entry_of(name)
    return entry
