"""The command line `radapter`: names, options and help; what a command does stands in `radapter.commands`.

This file lies beside the package and imports it inside each command, so that `radapter --help` answers at once:
importing the package imports torch and takes seconds.
"""

import functools
import io
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal, ParamSpec

import typer

_P = ParamSpec("_P")

Task = Literal["classification", "retrieval", "segmentation"]
DONE, OURS, INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="radapter",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fine-tune CLIP-like models on one distribution and keep them robust on the others.",
    epilog="Start with [bold]radapter demo[/], then [bold]radapter init classification --to run.yaml[/] and "
    "[bold]radapter train run.yaml[/]. Exit codes: 0 done, 2 the input is at fault, 1 radapter is, 130 interrupted.",
)


data_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Look at a data set before a run does.",
)
app.add_typer(data_app, name="data")


def main() -> None:
    """The entry point of the `radapter` command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    if _processes() > 1:
        # DistributedDataParallel's C++ would advise, in every process, against a setting that is there for a reason
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    app()


def _answered(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turns what a command raises into one line and an exit code, here and nowhere else."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with _answers():
            command(*args, **kwargs)

    return run


def _alone(command: Callable[_P, None]) -> Callable[_P, None]:
    """As `_answered`, for a command that several processes cannot share."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if _processes() > 1:
            if _is_main():
                _say(
                    f"radapter {command.__name__.replace('_', ' ')} runs in one process. The launcher started "
                    f"{_processes()}. Start it without one; train and evaluate are shared.",
                    "red",
                )
            raise typer.Exit(INPUT)
        with _answers():
            command(*args, **kwargs)

    return run


def _processes() -> int:
    """How many processes torchrun or accelerate launch started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def _is_main() -> bool:
    return _processes() == 1 or os.environ["RANK"] == "0"


@contextmanager
def _answers() -> Iterator[None]:
    _log_to_terminal()
    try:
        with warnings.catch_warnings(), _termination_interrupts():
            warnings.simplefilter("ignore", FutureWarning)  # libraries speak of their own next versions
            if not _is_main():
                warnings.simplefilter("ignore")
            yield
        _leave()
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt as interruption:
        # no full stop: the message ends in a command to copy
        if _is_main():
            _say(f"Interrupted: {interruption}" if str(interruption) else "Interrupted.", "yellow")
        _wait_until_told(interruption)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if not _is_to_be_told_here(error):
            _wait_until_told(error)
            raise typer.Exit(INPUT if _is_input_error(error) else OURS) from None
        if _is_input_error(error):
            _say(" ".join([_message(error), *getattr(error, "__notes__", ())]), "red")
            _wait_until_told(error)
            raise typer.Exit(INPUT) from None
        if "operator torchvision::nms does not exist" in str(error):
            _say(
                "torchvision must be built for the installed torch. It is not. Install both in one command: "
                "pip install --force-reinstall torch torchvision.",
                "red",
            )
            raise typer.Exit(INPUT) from None
        traceback.print_exc()
        if _processes() > 1:
            _say(
                f"Process {os.environ['RANK']} of {_processes()} failed. Where another one is said to be gone, its "
                "own lines tell why.",
                "red",
            )
        _say("This is a fault of radapter, not of the input. Please report it with the lines above.", "red")
        _wait_until_told(error)
        raise typer.Exit(OURS) from None


def _is_to_be_told_here(error: Exception) -> bool:
    """Whether this process prints an error: the main one, and any that is alone with it."""
    if _is_main():
        return True
    from radapter.processes import is_shared

    return not is_shared(error)


def _wait_until_told(error: BaseException) -> None:
    """Holds every process until the main one has told an error that all have: a launcher ends all with the first."""
    if _processes() > 1:
        from radapter.processes import is_shared, join

        if is_shared(error):
            join().wait()


def _leave() -> None:
    if _processes() > 1:
        from radapter.processes import join

        join().leave()


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C: what is half written is cleaned up, and the exit code is 130."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_input_error(error: Exception) -> bool:
    from radapter.errors import RAdapterError

    # A file system that refuses a file names it; what it says of none is looked at like any other fault.
    return isinstance(error, RAdapterError) or (isinstance(error, OSError) and error.filename is not None)


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return (
            f"'{error.filename}' cannot be read or written: {error.strerror}. Check the path, its permissions and "
            "the disk."
        )
    return str(error)


def _say(text: str, colour: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(text, style=colour), soft_wrap=True)


def _log_to_terminal() -> None:
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    log = logging.getLogger("radapter")
    if not log.handlers:
        log.addHandler(RichHandler(console=Console(stderr=True), show_time=False, show_path=False))
        log.setLevel(logging.INFO if _is_main() else logging.CRITICAL)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("radapter"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: [bold]radapter demo --out radapter-demo --seed 0[/]")
@_alone
def demo(
    out: Annotated[Path, typer.Option(help="New folder for results.json, the table and the plot.")] = Path(
        "radapter-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other data and other weights.")] = 0,
) -> None:
    """Compare every method on the embedded world: offline, on a CPU, in minutes."""
    from radapter.commands.demo import demo as run

    run(out, seed=seed)


@app.command(
    epilog="Examples:\n\n[bold]radapter init classification --to run.yaml[/]\n\n"
    "[bold]radapter init retrieval --to run.yaml[/]\n\n[bold]radapter init segmentation --to run.yaml[/]"
)
@_alone
def init(
    task: Annotated[Task, typer.Argument(help="What is to be learned.")],
    to: Annotated[Path, typer.Option(help="The file to write; an existing one is left alone.")],
) -> None:
    """Write a commented run.yaml that trains as it is, on the embedded world."""
    from radapter.commands.init import init as run

    run(task, to)


@app.command(
    epilog="Examples:\n\n[bold]radapter train run.yaml[/]\n\n"
    "[bold]radapter train run.yaml train.lr=3e-3 method=wise-ft --out runs/wise-ft[/]\n\n"
    "[bold]radapter train run.yaml --resume[/]\n\n"
    "[bold]torchrun --nproc-per-node 4 -m radapter_cli train run.yaml[/]"
)
@_answered
def train(
    config: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="The configuration.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings that replace the file's: select.alpha=0.5"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder, in place of the file's 'out'.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")] = False,
) -> None:
    """Fine-tune a model, choose alpha on ID validation, report ID and OOD."""
    from radapter.commands.train import train as run

    run(config, overrides or [], out=out, resume=resume)


@app.command(
    epilog="Examples:\n\n"
    "[bold]radapter compare run.yaml --methods full,wise-ft,r-adapter --seeds 3 --out compared[/]\n\n"
    "[bold]radapter compare run.yaml --methods ablation --seeds 3 --out ablation[/]\n\n"
    "Started again, it goes on where it was stopped."
)
@_alone
def compare(
    config: Annotated[Path, typer.Argument(metavar="RUN.YAML", help="The configuration, for all methods.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings that replace the file's: train.epochs=5"),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(help="Names with commas between, or the groups foundation, all, ablation."),
    ] = "foundation",
    seeds: Annotated[int, typer.Option(min=1, help="How many, from the file's 'seed' on.")] = 3,
    grid: Annotated[str | None, typer.Option(hidden=True)] = None,
    standard_models: Annotated[
        Path | None,
        typer.Option(
            help="A CSV with model, id and ood of standard models: adds effective and relative robustness.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder, in place of the file's 'out'.")] = None,
) -> None:
    """Compare methods at several seeds: learning rate, epoch and alpha chosen on ID validation alone."""
    if grid is not None:
        from radapter.errors import ConfigError

        raise ConfigError(
            f"--grid was removed, got '{grid}'. Every method is searched at compare.points learning rates around a "
            "centre of its own; set centres with compare.rates, such as 'compare.rates={full: 1e-4}'."
        )
    from radapter.commands.compare import compare as run

    run(
        config,
        overrides or [],
        methods=methods,
        seeds=seeds,
        standard_models=standard_models,
        out=out,
    )


@app.command(
    epilog="Examples:\n\n[bold]radapter evaluate runs/run --data path/to/class/folders[/]\n\n"
    "[bold]radapter evaluate world:tiny --data 'sketch={world: sketch}' --templates short[/]\n\n"
    "[bold]radapter evaluate world:tiny --task retrieval --data path/to/pairs.csv[/]\n\n"
    "[bold]radapter evaluate world:tiny --task segmentation --data '{world: scenes, background: false}'[/]"
)
@_answered
def evaluate(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a model's name.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="A source as in run.yaml, a path or a YAML mapping, also NAME=SOURCE. Repeatable. The run's own "
            "test sets if left out.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(
            help="What is measured; the run's own, or classification, if left out.", show_default=False
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Re-scaling in [0, 1]; the run's own if left out.", show_default=False),
    ] = None,
    classnames: Annotated[
        str | None,
        typer.Option(
            help="A file or YAML list; the run's, the merged folder's or the data's own if left out."
        ),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(
            help="short, imagenet, a file or a YAML list; the run's or the merged folder's if left out."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="top1, top5, mean_per_class, macro_f1, worst_group, agreement (with zero-shot), ece, brier or nll; "
            "of retrieval rsum, i2t_r1, t2i_r1 and so on, see docs/retrieval.md; of segmentation miou, miou_ovseg, "
            "miou_unseen and so on.",
            show_default="top1; rsum; miou",
        ),
    ] = None,
    max_bad: Annotated[
        float | None,
        typer.Option(
            help="Share of the images of a set that may be unreadable; they are left out.",
            show_default="the run's data.max_bad, or 0.01",
        ),
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Measure a run, a merged folder or a model on any labelled images, on image-text pairs, or on masked images."""
    from radapter.commands.evaluate import evaluate as run

    run(
        what,
        data or (),
        task=task,
        alpha=alpha,
        classnames=classnames,
        templates=templates,
        metric=metric,
        max_bad=max_bad,
        allow_download=allow_download,
    )


@app.command(
    epilog="Examples:\n\n[bold]radapter search runs/run --images photos 'a red car' --top 20[/]\n\n"
    "[bold]radapter search world:tiny --images photos 'a cat' 'a dog' --html hits.html "
    "--index photos.safetensors[/]"
)
@_alone
def search(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a model's name.")],
    queries: Annotated[list[str], typer.Argument(metavar="TEXT...", help="What to look for, in quotes.")],
    images: Annotated[Path, typer.Option(help="A folder; images at any depth are searched.")],
    top: Annotated[int, typer.Option(min=1, help="Hits for each text.")] = 10,
    html: Annotated[
        Path | None, typer.Option(help="Write the hits as a page with thumbnails.", show_default=False)
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            help="Keep features in this file; only new and changed images are encoded.",
            show_default=False,
        ),
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Find the images of a folder that fit a text."""
    from radapter.commands.search import search as run

    run(
        what,
        queries,
        images=images,
        top=top,
        html=html,
        index=index,
        allow_download=allow_download,
    )


@app.command(
    epilog="Examples:\n\n"
    "[bold]radapter segment runs/run --image street.jpg --classes 'sky, road, tree' --to street.png[/]\n\n"
    "[bold]radapter segment world:tiny --image photos --classes 'car, automobile; sky; grass' --to segmented[/]\n\n"
    "[bold]radapter segment open_clip:ViT-B-16/openai --image photos --classes classes.txt --to segmented "
    "--proposer transformers:mask2former --ensemble ovseg[/]"
)
@_alone
def segment(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run folder, or a model's name.")],
    image: Annotated[Path, typer.Option(help="An image, or a folder; images at any depth are segmented.")],
    classes: Annotated[
        str,
        typer.Option(
            help="Names with commas between; or classes with semicolons between, their synonyms with commas "
            "between; or a file with one class a line."
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            help="The overlay, a PNG, or a folder of them; NAME.labels.png and NAME.json lie beside."
        ),
    ],
    proposer: Annotated[
        str, typer.Option(help="What finds regions: felzenszwalb, transformers:FOLDER, files:FOLDER.")
    ] = "felzenszwalb",
    templates: Annotated[
        str | None,
        typer.Option(
            help="short, imagenet, a file or one template; the run's own if left out.", show_default=False
        ),
    ] = None,
    synonyms: Annotated[
        Literal["mean", "max"], typer.Option(help="How the names of a class are joined.")
    ] = "mean",
    ensemble: Annotated[
        Literal["region", "ovseg", "zsseg", "fcclip"],
        typer.Option(help="How the proposer's own class scores are joined in; region does without."),
    ] = "region",
    weight: Annotated[
        str | None,
        typer.Option(
            help="Of CLIP in the ensemble; for fcclip two, of seen and unseen classes: 0.4,0.8.",
            show_default="0.7; 0.4,0.8",
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            help="The classes that the proposer was trained on, for zsseg and fcclip.", show_default="all"
        ),
    ] = None,
    mask_prompts: Annotated[
        Path | None, typer.Option(help="A file of learned tokens for the background.", show_default=False)
    ] = None,
    ovseg_compat: Annotated[
        bool,
        typer.Option("--ovseg-compat", help="Cut regions out as OVSeg's release does: without antialiasing."),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Segment in tiles of at most this side, in pixels: for large images.",
            show_default=False,
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse an image with more, unless it is tiled.")
    ] = 16_000_000,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Name the regions of images with classes of your own: an overlay, a label map, the regions."""
    from radapter.commands.segment import segment as run

    run(
        what,
        image=image,
        classes=classes,
        to=to,
        proposer=proposer,
        templates=templates,
        synonyms=synonyms,
        ensemble=ensemble,
        weight=weight,
        seen=seen,
        mask_prompts=mask_prompts,
        ovseg_compat=ovseg_compat,
        tile=tile,
        max_pixels=max_pixels,
        allow_download=allow_download,
    )


@app.command(
    epilog="Examples:\n\n[bold]radapter mine captions.csv --to mined --model open_clip:ViT-B-16/openai[/]\n\n"
    "[bold]radapter mine '{world: scenes, wording: web}' --to mined --floor 0.4 --margin 0.05[/]\n\n"
    "[bold]radapter mine '{masks: labels, images: photos, classes: classes.txt}' --from-masks --to mined[/]\n\n"
    "Started again, it goes on after the last whole shard."
)
@_alone
def mine(
    data: Annotated[
        str,
        typer.Argument(
            metavar="PAIRS",
            help="Image-text pairs as in run.yaml, a path or a YAML mapping; with --from-masks masked images.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="The folder of shards: new, or one that this command began.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="RUN|MODEL", help="What looks at the regions.", show_default="world:tiny"),
    ] = None,
    proposer: Annotated[
        str | None,
        typer.Option(
            help="What finds regions: felzenszwalb, transformers:FOLDER.", show_default="felzenszwalb"
        ),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(
            help="Cosine that region and noun must reach; auto is what the better half of 256 images reaches.",
            show_default="auto",
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(
            help="Lead that they must have over another noun, and over another region; or auto.",
            show_default="auto",
        ),
    ] = None,
    nouns: Annotated[
        list[str] | None,
        typer.Option(
            help="What nouns are looked for: built-in, a file with one a line, or spacy:PIPELINE. Repeatable.",
            show_default="built-in",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="What a noun is put into.", show_default="a photo of a {}."),
    ] = None,
    min_area: Annotated[
        float | None,
        typer.Option(help="Share of the image that a region must have.", show_default="0.05; of masks 0.001"),
    ] = None,
    from_masks: Annotated[
        bool, typer.Option("--from-masks", help="Cut the true regions of masked images.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only the first images.", show_default=False)
    ] = None,
    max_bad: Annotated[
        float, typer.Option(help="Share of images that may be unreadable; they are left out.")
    ] = 0.01,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Cut regions with a noun each out of captioned or masked images, to train a segmenter's CLIP on."""
    from radapter.commands.mine import mine as run

    run(
        data,
        to=to,
        from_masks=from_masks,
        model=model,
        proposer=proposer,
        floor=floor,
        margin=margin,
        nouns=nouns,
        template=template,
        min_area=min_area,
        limit=limit,
        max_bad=max_bad,
        allow_download=allow_download,
    )


@app.command(epilog="Example: [bold]radapter prompts runs/segmentation-world[/]")
@_alone
def prompts(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run of segmentation.")],
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the regions.", show_default="the run's")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.", show_default="0.05")] = None,
    depth: Annotated[int, typer.Option(min=1, help="How many blocks get tokens of their own.")] = 3,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Train mask prompts, the second stage of segmentation: tokens for the background, both towers frozen."""
    from radapter.commands.prompts import prompts as run

    run(run_folder, epochs=epochs, lr=lr, depth=depth, allow_download=allow_download)


@app.command(epilog="Example: [bold]radapter sweep runs/run[/]")
@_alone
def sweep(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
) -> None:
    """Show ID against OOD for every alpha of a run."""
    from radapter.commands.sweep import sweep as run

    run(run_folder)


@app.command(
    epilog="Examples:\n\n[bold]radapter merge runs/run --alpha 0.5 --to merged --format open_clip[/]\n\n"
    "[bold]radapter merge compared --method r-adapter --seed 0 --to merged[/]"
)
@_alone
def merge(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN|COMPARISON", help="A run folder, or the folder of a comparison.")
    ],
    to: Annotated[Path, typer.Option(help="New folder for the plain checkpoint.")],
    alpha: Annotated[
        float | None,
        typer.Option(help="Re-scaling in [0, 1]; the run's own if left out.", show_default=False),
    ] = None,
    format: Annotated[
        Literal["transformers", "open_clip", "timm"] | None,
        typer.Option(help="The library that shall load it; the model's own if left out.", show_default=False),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Of a comparison: the method to merge.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of a comparison: the seed; its first if left out.", show_default=False)
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Write a plain checkpoint that needs no radapter and costs nothing extra to run."""
    from radapter.commands.merge import merge as run

    run(
        run_folder,
        to=to,
        alpha=alpha,
        format=format,
        method=method,
        seed=seed,
        allow_download=allow_download,
    )


@app.command(
    epilog="Examples:\n\n[bold]radapter verify runs/run[/]\n\n[bold]radapter verify merged --json[/]\n\n"
    "Exits with 2 where a file is damaged or missing."
)
@_alone
def verify(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A run, a comparison, a merged folder, shards, mined regions, or a search index.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare files with their recorded SHA-256, and tell what a resume would do and which base model is needed."""
    from radapter.commands.verify import verify as run

    if not run(path, as_json=as_json):
        raise typer.Exit(INPUT)


@app.command(epilog="Example: [bold]radapter inspect open_clip:ViT-B-16 --r 4[/]")
@_alone
def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, as in run.yaml.")],
    r: Annotated[
        int | None, typer.Option(help="Rank; the full matrix if left out.", show_default=False)
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Show a model's towers, adapter sites and parameters to train."""
    from radapter.commands.inspect import inspect as run

    run(model, r=r, allow_download=allow_download)


@app.command(epilog="Example: [bold]radapter methods open_clip:ViT-B-16 --classes 1000[/]")
@_alone
def methods(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A model's name, as in run.yaml; its parameters are counted."),
    ] = "world:tiny",
    task: Annotated[Task, typer.Option(help="Whose methods are listed.")] = "classification",
    classes: Annotated[
        int | None,
        typer.Option(min=1, help="Of a classification: a head has a row for each.", show_default="20"),
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """List what can be trained, how many parameters that is on a model, and where it comes from."""
    from radapter.commands.methods import methods as run

    run(model, task=task, classes=classes, allow_download=allow_download)


@app.command(
    epilog="Examples:\n\n[bold]radapter shards path/to/class/folders --to shards[/]\n\n"
    "[bold]radapter shards '{karpathy: dataset_coco.json, images: coco}' --to coco-shards --size 500MB[/]\n\n"
    "[bold]radapter shards pairs.csv --task retrieval --to shards[/]\n\n"
    "Started again, it goes on after the last whole shard."
)
@_alone
def shards(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A source as in run.yaml, a path or a YAML mapping; of pairs also a list."
        ),
    ],
    to: Annotated[Path, typer.Option(help="Folder for the shards; new, or one that this command began.")],
    task: Annotated[
        Literal["classification", "retrieval"] | None,
        typer.Option(
            help="classification for images with classes, retrieval for images with captions.",
            show_default="by the source",
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Of a shard, about: 500MB, 2GB.")] = "1GB",
    apart: Annotated[
        bool,
        typer.Option("--apart", help="Images that share a caption stay apart, as data.join_captions=false."),
    ] = False,
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of images that may be unreadable; they are left out.")
    ] = 0.01,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Write a data set as tar shards of about a gigabyte, to train on without listing its images."""
    from radapter.commands.shards import shards as run

    run(
        data,
        to=to,
        task=task,
        size=size,
        join_captions=not apart,
        max_bad=max_bad,
        allow_download=allow_download,
    )


@data_app.command(
    "check",
    epilog="Examples:\n\n[bold]radapter data check path/to/class/folders[/]\n\n"
    "[bold]radapter data check imagenet-r --layout imagenet-r[/]\n\n"
    "[bold]radapter data check imagenet --layout imagenet split=val --all[/]\n\n"
    "[bold]radapter data check '{csv: sketches.csv, image: path, label: species}'[/]\n\n"
    "[bold]radapter data check pairs.parquet --task retrieval[/]\n\n"
    "[bold]radapter data check ADEChallengeData2016 --layout ade20k-150[/]\n\n"
    "[bold]radapter data check '{images: photos, masks: labels, classes: names.txt, ignore: 255}'[/]",
)
@_alone
def data_check(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A path, or a YAML mapping as in run.yaml.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Further keys of the source: split=val"),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(
            help="classification for images with classes, retrieval for images with captions, segmentation for "
            "images with masks.",
            show_default="by the source",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Read the path as this public data set, such as imagenet-r.", show_default=False),
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="Decode every image, not a sample.")] = False,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let the hub be asked.")] = False,
) -> None:
    """Say what a data set holds: classes, images or masks, copies, damage; exit 2 where a run would refuse it."""
    from radapter.commands.data_check import data_check as run

    run(source, settings or [], task=task, layout=layout, whole=whole, allow_download=allow_download)


if __name__ == "__main__":
    main()
