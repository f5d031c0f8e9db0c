"""`radapter evaluate`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from radapter_cli.application import LOOK, command
from radapter_cli.options import TASKS, AllowDownload, Alpha, RunOrModel, RunOverrides, Task


@command(
    "radapter evaluate runs/world --data path/to/class/folders",
    "radapter evaluate runs/world data.max_bad=0.1 'data.ood={neon: {world: neon}}'",
    "radapter evaluate world:tiny --data 'sketch={world: sketch}' --templates short",
    "radapter evaluate runs/world --out evaluated.json",
    "radapter evaluate world:tiny --task retrieval --data path/to/pairs.csv",
    "radapter evaluate world:tiny --task segmentation --data '{world: scenes, background: false}'",
    in_many_processes=True,
    panel=LOOK,
    has_json=True,
)
def evaluate(
    what: RunOrModel,
    overrides: RunOverrides = None,
    data: Annotated[
        list[str] | None,
        Option(
            help="A source as in run.yaml: a path or a YAML mapping, also NAME=SOURCE. Repeatable.",
            show_default="the run's own test sets",
        ),
    ] = None,
    task: Annotated[
        Task | None,
        Option(metavar="TASK", help=f"The task: {TASKS}.", show_default="the run's own, or classification"),
    ] = None,
    alpha: Alpha = None,
    classnames: Annotated[
        str | None,
        Option(
            help="Class names: a file or a YAML list.",
            show_default="those of the run, the merged directory or the data",
        ),
    ] = None,
    templates: Annotated[
        str | None,
        Option(
            help="Prompt templates: short, imagenet, a file or a YAML list.",
            show_default="those of the run or the merged directory",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        Option(
            help="top1, top5, mean_per_class, macro_f1, worst_group, agreement (with zero-shot), ece, brier or nll; "
            "retrieval: rsum, i2t_r1, t2i_r1 and others, see docs/retrieval.md; segmentation: miou, miou_ovseg, "
            "miou_unseen and others.",
            show_default="top1 for classification, rsum for retrieval, miou for segmentation",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(help="Write the results to this new JSON file, in the form of a run's results.json."),
    ] = None,
    max_bad: Annotated[
        float | None,
        Option(
            help="Largest fraction of unreadable images in a set; they are skipped.",
            show_default="the run's data.max_bad, or 0.01",
        ),
    ] = None,
    allow_download: AllowDownload = False,
) -> object:
    """Evaluate a run, a merged directory or a model on labelled images, image-text pairs or masked images."""
    from radapter.commands.evaluate import Output, Texts
    from radapter.commands.evaluate import evaluate as run

    return run(
        what,
        data or (),
        overrides or (),
        task=task,
        alpha=alpha,
        texts=Texts(classnames, templates),
        output=Output(metric, out),
        max_bad=max_bad,
        allow_download=allow_download,
    )
