"""`radapter inspect`: a model's towers, adapter sites and what adapting it would train and merge."""

import shlex

from rich import box
from rich.console import Console
from rich.table import Table

from radapter.commands.terminal import next_steps, say
from radapter.models import Inspection, load
from radapter.models import inspect as facts_of
from radapter.report.table import parameters


def inspect(model: str, *, r: int | None = None, allow_download: bool = False) -> Inspection:
    """Prints what `radapter train` would adapt in a model.

    Raises:
        InputError: the model is unknown or has no site, or `r` is out of range.
    """
    facts = facts_of(load(model, allow_download=allow_download), r=r)
    share = facts.trained_parameters / facts.parameters
    say(
        f"{facts.name} ({facts.library}, {facts.dtype}): {parameters(facts.parameters)} parameters, images of "
        f"{facts.image_size} px, {facts.context_length} tokens, embeddings of {facts.embed_dim}."
    )
    console = Console()
    console.print(_towers(facts))
    console.print(_sites(facts))
    say(
        f"To train at {'full rank' if facts.rank is None else f'rank {facts.rank}'}: {facts.trained_parameters:,} "
        f"parameters, {share:.1%} of the model. Merged into {len(facts.merged_into)} tensors that are there "
        "already: the merged model runs as the original."
    )
    next_steps(*_next(facts))
    return facts


def _next(facts: Inspection) -> list[tuple[str, str]]:
    """What a model can be fine-tuned on: commands need a text tower, which reads class names and captions."""
    if facts.context_length == 0:
        return [("adapt it in Python", "peft.get_peft_model(module, radapter.RAdapterConfig())")]
    trained = f"radapter train run.yaml {shlex.quote(f'model={facts.name}')}"
    return [
        ("fine-tune it on labelled images", f"radapter init classification --to run.yaml && {trained}"),
        ("on images and captions", f"radapter init retrieval --to run.yaml && {trained}"),
    ]


def _towers(facts: Inspection) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("Tower", "Blocks", "Width", "Activation", "Sites", "Parameters", "To train"):
        table.add_column(column, justify="left" if column in ("Tower", "Activation") else "right")
    for tower in facts.towers:
        table.add_row(
            tower.tower,
            str(tower.blocks),
            str(tower.width),
            tower.activation,
            str(tower.sites),
            parameters(tower.parameters),
            parameters(tower.trained_parameters),
        )
    return table


def _sites(facts: Inspection) -> Table:
    """The sites and the tensors that their adapters are merged into, like blocks in one line."""
    alike: dict[tuple[str, str, str], int] = {}
    for site in facts.sites:
        merged = [n.removeprefix(f"{site.name}.") for n in facts.merged_into if n.startswith(f"{site.name}.")]
        name = ".".join("*" if part.isdecimal() else part for part in site.name.split("."))
        line = (name, site.kind, ", ".join(merged))
        alike[line] = alike.get(line, 0) + 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Sites (* is the block)", overflow="fold")
    table.add_column("Count", justify="right")
    table.add_column("After")
    table.add_column("Merged into", overflow="fold")
    for (name, kind, merged_into), blocks in alike.items():
        table.add_row(name, str(blocks), kind, merged_into)
    return table
