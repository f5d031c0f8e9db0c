"""`radapter methods`: what can be trained, how many parameters on a given model, and where it comes from."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from radapter.commands.task import task_of
from radapter.commands.terminal import next_steps
from radapter.errors import ConfigError, SiteError
from radapter.evaluation import TaskName
from radapter.losses import bound_loss
from radapter.methods import TABLES, Method, MethodSettings, count_trained, groups_of
from radapter.methods.rates import CLIP_WIDTH, scientific
from radapter.models import DualEncoder, load
from radapter.report.table import framed, parameters
from radapter.zeroshot import LinearHead

_CLASSES = 20


def methods(
    model: str, *, task: TaskName = "classification", classes: int | None = None, allow_download: bool = False
) -> None:
    """Prints the table of methods.

    Args:
        model: whose parameters are counted.
        task: whose methods are listed.
        classes: of a classification; heads have a row for each; None for 20.
        allow_download: whether the hub may be asked.

    Raises:
        ConfigError: classes are given for a task that has none.
        ModelError: the model is unknown.
    """
    has_head = task_of(task).has_head
    if classes is not None and not has_head:
        raise ConfigError(f"--classes is for classification. Got {classes} with {task}. Leave it out.")
    rows = 0 if not has_head else _CLASSES if classes is None else classes
    of = f" with {rows} classes" if rows else f", for {task}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, pad_edge=False)
    table.add_column("Method", overflow="fold")
    table.add_column("Trains", overflow="fold")
    table.add_column("Parameters", justify="right", overflow="fold")
    table.add_column("Alpha", justify="right", overflow="fold")
    for method in TABLES[task].values():
        encoder = load(model, allow_download=allow_download)
        trained = _count(method, encoder, rows)
        table.add_row(method.name, method.summary, trained, _alpha(method))
    console = Console()
    console.print(framed(table, title=f"Methods, on {model}{of}"))
    console.print()
    groups = ", ".join(f"{name} ({len(of_group)})" for name, of_group in groups_of(task).items())
    for sentence in (
        f"Default learning rates for CLIP ViT-B: {'; '.join(_rates(TABLES[task].values()))}. Rates of towers are "
        f"multiplied by {CLIP_WIDTH} / width of the image tower.",
        f"Sources: {'; '.join(_sources(TABLES[task].values()))}.",
        "Every one merges into the model's own weights and costs nothing extra to run.",
        f"Groups for --methods: {groups}.",
    ):
        console.print(Text(sentence))  # broken between words, unlike a line of `say`
    full = TABLES[task]["wise-ft"].runs
    next_steps(
        ("train one", "radapter train run.yaml method=wise-ft"),
        ("compare some", f"radapter compare run.yaml --methods {full},wise-ft,r-adapter --seeds 3"),
    )


def _sources(methods: Iterable[Method]) -> list[str]:
    """ "paper (its methods)"; what changes a part of a method has the method's source, and is left out."""
    return _grouped((method.source, method) for method in methods)


def _rates(methods: Iterable[Method]) -> list[str]:
    """ "rate (its methods)", of the head where nothing else is trained."""
    return _grouped((scientific(m.learning_rate), m) for m in methods if m.build is not None)


def _grouped(facts: Iterable[tuple[str, Method]]) -> list[str]:
    """Each fact with its methods; one that changes a part of another shares its facts, and is left out."""
    named: dict[str, list[str]] = {}
    for fact, method in facts:
        if method.part_of is None:
            named.setdefault(fact, []).append(method.name)
    return [f"{fact} ({', '.join(names)})" for fact, names in named.items()]


def _alpha(method: Method) -> str:
    if method.build is None:
        return "-"
    return "auto" if method.alpha == "auto" else f"{method.alpha:g}"


def _count(method: Method, encoder: DualEncoder, classes: int) -> str:
    """How many numbers it moves on this model; what it lacks where it does not fit."""
    if method.build is None:
        return "0"
    if not encoder.context_length:
        return "needs a text tower"
    loss = bound_loss(method.losses[0], margin=None, label_smoothing=None, logit_bias=encoder.logit_bias)
    head = LinearHead(next(encoder.parameters()).new_zeros(classes, encoder.embed_dim))
    settings = method.settings(MethodSettings())
    try:
        learner, _ = method.build(encoder, head=head, loss=loss, settings=settings)
    except SiteError:
        return "no adapter site"
    return parameters(count_trained(learner))
