"""`radapter inspect` and `radapter methods`: what a model has, and which methods train how much of it."""

import shlex
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands.terminal import next_steps, plain_table, say
from radapter.errors import ConfigError, SiteError
from radapter.losses import bound_loss
from radapter.methods import TABLES, Method, MethodSettings, count_trained, groups_of
from radapter.methods.rates import CLIP_WIDTH, scientific
from radapter.models import DualEncoder, Inspection, load
from radapter.models import inspect as facts_of
from radapter.operations.task import task_of
from radapter.report.table import framed, parameters
from radapter.storage import free
from radapter.zeroshot import LinearHead

_CLASSES = 20


def inspect(model: str, *, r: int | None, allow_download: bool) -> Inspection:
    """Prints and returns what `radapter train` would adapt in a model.

    Raises:
        InputError: the model cannot be adapted at rank `r`.
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
        f"parameters, {share:.1%} of the model. Merged into {len(facts.merged_into)} of its own tensors: the merged "
        "model is as fast as the original."
    )
    next_steps(*_next(facts))
    return facts


def _next(facts: Inspection) -> list[tuple[str, str]]:
    """What a model can be fine-tuned on: the commands need a text tower for class names and captions."""
    if facts.context_length == 0:
        return [("adapt it in Python", "peft.get_peft_model(module, radapter.RAdapterConfig())")]
    file, model = free("run.yaml"), shlex.quote(f"model={facts.name}")
    command = f"--out {file} && radapter train {file} {model}"
    return [
        ("fine-tune it on labelled images", f"radapter init classification {command}"),
        ("on images and captions", f"radapter init retrieval {command}"),
    ]


def _towers(facts: Inspection) -> Table:
    columns = ("Tower", "Blocks", "Width", "Activation", "Sites", "Parameters", "To train")
    table = plain_table(*columns, left=("Tower", "Activation"))
    for tower in facts.towers:
        facts_of_tower = (tower.tower, tower.blocks, tower.width, tower.activation, tower.sites)
        counts = (tower.parameters, tower.trained_parameters)
        table.add_row(*map(str, facts_of_tower), *map(parameters, counts))
    return table


def _sites(facts: Inspection) -> Table:
    """The sites and the tensors that their adapters are merged into; equal blocks share a row."""
    alike: Counter[tuple[str, str, str]] = Counter()
    for site in facts.sites:
        merged = [n.removeprefix(f"{site.name}.") for n in facts.merged_into if n.startswith(f"{site.name}.")]
        name = ".".join("*" if part.isdecimal() else part for part in site.name.split("."))
        alike[name, site.kind, ", ".join(merged)] += 1
    columns = ("Sites (* is the block)", "Count", "After", "Merged into")
    style = {"pad_edge": False, "show_edge": False, "padding": (0, 1, 0, 0)}
    table = plain_table(*columns, left=("Sites (* is the block)", "After", "Merged into"), **style)
    for (name, kind, merged_into), blocks in alike.items():
        table.add_row(name, str(blocks), kind, merged_into)
    return table


def methods(model: str, *, task: str, classes: int | None, allow_download: bool) -> list[dict[str, object]]:
    """Prints the table of methods, and returns its rows.

    Raises:
        InputError: the model is unknown, or the task has no classes.
    """
    has_head = task_of(task).has_head
    if classes is not None and not has_head:
        raise ConfigError(f"--classes is for classification. Got {classes} with {task}. Leave it out.")
    rows = 0 if not has_head else _CLASSES if classes is None else classes
    of = f" with {rows} classes" if rows else f", for {task}"
    listed, groups = TABLES[task].values(), groups_of(task)
    style = {"padding": (0, 1), "show_edge": False, "pad_edge": False}
    table = plain_table("Method", "Trains", "Parameters", "Alpha", left=("Method", "Trains"), **style)
    found: list[dict[str, object]] = []
    for method in listed:
        encoder = load(model, allow_download=allow_download)
        alpha = "auto" if method.alpha == "auto" else f"{method.alpha:g}"
        count = _count(method, encoder, rows)
        shown = count if isinstance(count, str) else parameters(count)
        table.add_row(method.name, method.summary, shown, "-" if method.build is None else alpha)
        found.append(
            {
                "name": method.name,
                "trains": method.summary,
                "trained_parameters": None if isinstance(count, str) else count,
                "alpha": method.alpha,
                "merges": method.build is not None and not method.unmergeable,
                "losses": method.losses,
                "learning_rate": method.learning_rate,
                "source": method.source,
                "groups": [name for name, names in groups.items() if method.name in names],
            }
        )
    console = Console()
    console.print(framed(table, title=f"Methods, on {model}{of}"))
    console.print()
    rates = _grouped((scientific(method.learning_rate), method) for method in listed if method.is_optimized)
    for sentence in (
        f"Default learning rates for CLIP ViT-B: {rates}. Rates of towers are multiplied by {CLIP_WIDTH} / width "
        "of the image tower.",
        f"Sources: {_grouped((method.source, method) for method in listed)}.",
        _merged(listed),
        f"Groups for --methods: {', '.join(f'{name} ({len(names)})' for name, names in groups.items())}.",
    ):
        console.print(Text(sentence))  # unlike `say`, wraps between words
    full = TABLES[task]["wise-ft"].runs
    next_steps(
        ("train one", "radapter train run.yaml method=wise-ft"),
        ("compare some", f"radapter compare run.yaml --methods {full},wise-ft,r-adapter --seeds 3"),
    )
    return found


def _merged(methods: Iterable[Method]) -> str:
    """Which methods merge, and why the others do not."""
    all_merge = "merges into the model's own weights or a classifier over them, at no inference cost."
    reasons = _grouped((method.unmergeable, method) for method in methods if method.unmergeable)
    return f"Each {all_merge}" if not reasons else f"Each {all_merge[:-1]}, except where {reasons}."


def _grouped(facts: Iterable[tuple[str, Method]]) -> str:
    """Each fact with its methods in parentheses; variants of a method share its facts and are left out."""
    named: dict[str, list[str]] = {}
    for fact, method in facts:
        if method.part_of is None:
            named.setdefault(fact, []).append(method.name)
    return "; ".join(f"{fact} ({', '.join(names)})" for fact, names in named.items())


def _count(method: Method, encoder: DualEncoder, classes: int) -> int | str:
    """The number of parameters that it trains on this model, or what the model lacks."""
    if method.build is None:
        return 0
    if not encoder.context_length:
        return "needs a text tower"
    if method.counted:
        return method.counted
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=encoder.logit_bias)
    head = LinearHead(next(encoder.parameters()).new_zeros(classes, encoder.embed_dim))
    settings = method.settings(MethodSettings())
    try:
        learner, _ = method.build(encoder, head=head, loss=loss, settings=settings)
    except SiteError:
        return "no adapter site"
    except ConfigError:
        return "does not fit it"
    return count_trained(learner)
