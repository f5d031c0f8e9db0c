"""Options that several commands share."""

import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer


def _tasks() -> tuple[str, ...]:
    """The list of tasks, read without importing radapter, which imports torch."""
    package = find_spec("radapter")
    assert package is not None
    assert package.origin is not None
    return tuple(runpy.run_path(str(Path(package.origin).with_name("task_list.py")))["TASKS"])


*_first, _last = _tasks()
TASKS = f"{', '.join(_first)} or {_last}"
"""The tasks, for help texts."""

if TYPE_CHECKING:
    Task = str
else:
    Task = Literal[_tasks()]

Config = Annotated[Path, typer.Argument(metavar="RUN.YAML", help="The configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings that replace the file's, such as train.epochs=5."),
]
RunOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Settings that replace the run's, such as data.max_bad=0.1."),
]
RunOrModel = Annotated[
    str, typer.Argument(metavar="RUN|MODEL", help="A run directory, a merged directory, or a model's name.")
]
Alpha = Annotated[
    float | None,
    typer.Option(
        help="Interpolation: 0 is the zero-shot model, 1 the fine-tuned one.",
        show_default="the alpha selected for the run",
    ),
]
Shards = Annotated[Path, typer.Option(help="Directory of shards: new, or one that this command started.")]
AllowDownload = Annotated[
    bool, typer.Option("--allow-download", help="Allow downloads from the Hugging Face Hub.")
]
RunOrFolder = Annotated[
    str,
    typer.Argument(metavar="RUN|MODEL|DIR", help="A run directory, a model's name, or a merged directory."),
]
MaxBad = Annotated[
    float | None,
    typer.Option(
        help="Largest fraction of unreadable images; they are reported.",
        show_default="the run's data.max_bad, or 0.01",
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images at a time; the results do not depend on it.")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Threads that decode images.", show_default="the processors, at most 4"),
]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu or cuda:1.", show_default="the GPU if there is one")
]
