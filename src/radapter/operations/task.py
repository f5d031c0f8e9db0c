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
from radapter.processes import Processes
from radapter.report.metrics import Shown
from radapter.report.page.details import Describe
from radapter.report.page.pictures import ShownSet
from radapter.runs.results import Results
from radapter.task_list import entry_of
from radapter.tasks.suite import Suite
from radapter.zeroshot import LinearHead
from radapter.zeroshot import templates as templates_of

Spec = dict[str, Any]
"""A source as run.yaml has it."""


class Asked(NamedTuple):
    """The run or model `what` and the named sources of `evaluate --data`; `config` is None for a model.

    `about` is what the run or the merged folder records. `classnames` and `templates` are None if not given.
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
        suite: Opens the data sets of a configuration, given the encoder and the processes.
        headline: The metric that is averaged over sets, compared and used to choose.
        renamed_methods: Former name of a method -> its name.
        sources: The kinds of source of a test set.
        path_source: The source of a path; None if the task's sources are mappings.
        recognises: Whether a mapping that has no key unique to `sources` is a source of this task.
        example: A source, for messages and suggested commands.
        run_yaml: The file that `radapter init` writes.
        tested, options: Opens the sets of `evaluate --data`, and the options for them that it reads.
        check_texts: Checks the class names of a suite against the text tower and the methods.
        check_data: `data check` of one source: (spec, stream=the source as a stream or None, whole=whether every
            image is decoded, allow_download). Raises InputError if a run would refuse the source.
        metrics: How each metric is shown; the first is the headline, as a share of its largest value.
        metrics_beside: Metrics whose means are shown beside the headline's, and their headers.
        shared_metrics: Metrics that are equal for all methods, and their names.
        hub_task: The task's name in the metadata of a model card.
        page, table_below: Markdown and a table for the terminal that follow the table of results.
        describe: What the HTML report shows of single images and classes.
        reopened: Opens a test set again for the report: (configuration, role, name, class names of the training).
    """

    config: type[CommonConfig]
    suite: Callable[[Any, DualEncoder, Processes], Suite]
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
    hub_task: str = "zero-shot-image-classification"
    page: Callable[[Results], str] | None = None
    table_below: Callable[[Results], Table] | None = None
    describe: Describe | None = None
    reopened: Callable[[Any, str, str, Sequence[str]], ShownSet] | None = None

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
