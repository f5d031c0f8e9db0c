"""`radapter init`: a commented configuration to edit."""

from pathlib import Path

from rich.console import Console

from radapter.errors import ConfigError
from radapter.operations.task import task_of
from radapter.storage import check_destination, write_text


def init(task: str, to: Path) -> None:
    """Write the commented run.yaml of a task. Raises ConfigError if `to` exists or is not named as YAML."""
    if to.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"--out must end in .yaml or .yml. Got '{to}'.")
    check_destination(to)
    if to.exists():
        raise ConfigError(f"--out must be a new file. '{to}' exists. Give another name or remove it.")
    write_text(to, template(task))
    console = Console()
    console.print(f"Wrote {to}.", highlight=False, soft_wrap=True)
    console.print(
        f"Next: edit it, or as it is: [bold]radapter train {to}[/]", highlight=False, soft_wrap=True
    )


def template(task: str) -> str:
    """Return the text that `init` writes."""
    return task_of(task).run_yaml.read_text(encoding="utf-8")
