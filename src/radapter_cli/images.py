"""Commands that apply a model to images: evaluate, search, segment, mine, prompts."""

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, Alpha, RunOrModel, Shards, Task


@command(
    "radapter evaluate runs/run --data path/to/class/folders",
    "radapter evaluate world:tiny --data 'sketch={world: sketch}' --templates short",
    "radapter evaluate world:tiny --task retrieval --data path/to/pairs.csv",
    "radapter evaluate world:tiny --task segmentation --data '{world: scenes, background: false}'",
    in_many_processes=True,
)
def evaluate(
    what: RunOrModel,
    data: Annotated[
        list[str] | None,
        Option(
            help="A source as in run.yaml: a path or a YAML mapping, also NAME=SOURCE. Repeatable. Default: the "
            "run's own test sets."
        ),
    ] = None,
    task: Annotated[Task | None, Option(help="The task; default: the run's own, or classification.")] = None,
    alpha: Alpha = None,
    classnames: Annotated[
        str | None,
        Option(help="A file or YAML list; default: those of the run, the merged directory or the data."),
    ] = None,
    templates: Annotated[
        str | None,
        Option(
            help="short, imagenet, a file or a YAML list; default: those of the run or the merged directory."
        ),
    ] = None,
    metric: Annotated[
        str | None,
        Option(
            help="top1, top5, mean_per_class, macro_f1, worst_group, agreement (with zero-shot), ece, brier or nll; "
            "retrieval: rsum, i2t_r1, t2i_r1 and others, see docs/retrieval.md; segmentation: miou, miou_ovseg, "
            "miou_unseen and others.",
            show_default="top1; rsum; miou",
        ),
    ] = None,
    max_bad: Annotated[
        float | None,
        Option(
            help="Largest fraction of unreadable images in a set; they are skipped.",
            show_default="the run's data.max_bad, or 0.01",
        ),
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Evaluate a run, a merged directory or a model on labelled images, image-text pairs or masked images."""
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


@command(
    "radapter search runs/run --images photos 'a red car' --top 20",
    "radapter search world:tiny --images photos 'a cat' 'a dog' --html hits.html --index photos.safetensors",
)
def search(
    what: RunOrModel,
    queries: Annotated[list[str], Argument(metavar="TEXT...", help="Text to search for, in quotes.")],
    images: Annotated[Path, Option(help="A folder; images at any depth are searched.")],
    top: Annotated[int, Option(min=1, help="Number of hits per text.")] = 10,
    html: Annotated[Path | None, Option(help="Write the hits as an HTML page with thumbnails.")] = None,
    index: Annotated[
        Path | None, Option(help="Store features in this file; later, encode only new and changed images.")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Find the images in a folder that match a text."""
    from radapter.commands.search import search as run

    run(what, queries, images=images, top=top, html=html, index=index, allow_download=allow_download)


@command(
    "radapter segment runs/run --image street.jpg --classes 'sky, road, tree' --to street.png",
    "radapter segment world:tiny --image photos --classes 'car, automobile; sky; grass' --to segmented",
    "radapter segment open_clip:ViT-B-16/openai --image photos --classes classes.txt --to segmented "
    "--proposer transformers:mask2former --ensemble ovseg",
)
def segment(
    what: RunOrModel,
    image: Annotated[Path, Option(help="An image, or a folder; images at any depth are segmented.")],
    classes: Annotated[
        str,
        Option(
            help="Comma-separated names; or classes separated by semicolons, with comma-separated synonyms; "
            "or a file with one class per line."
        ),
    ],
    to: Annotated[
        Path,
        Option(
            help="The overlay, a PNG, or a folder of overlays; NAME.labels.png and NAME.json are written beside it."
        ),
    ],
    proposer: Annotated[
        str, Option(help="Region proposer: felzenszwalb, transformers:FOLDER or files:FOLDER.")
    ] = "felzenszwalb",
    templates: Annotated[
        str | None, Option(help="short, imagenet, a file or one template; default: the run's own.")
    ] = None,
    synonyms: Annotated[
        Literal["mean", "max"], Option(help="How the scores of a class's names are combined.")
    ] = "mean",
    ensemble: Annotated[
        Literal["region", "ovseg", "zsseg", "fcclip"],
        Option(help="How the proposer's own class scores are combined with CLIP's; region ignores them."),
    ] = "region",
    weight: Annotated[
        str | None,
        Option(
            help="Weight of CLIP in the ensemble; for fcclip two weights, for seen and unseen classes: 0.4,0.8.",
            show_default="0.7; 0.4,0.8",
        ),
    ] = None,
    seen: Annotated[
        str | None,
        Option(help="Classes that the proposer was trained on, for zsseg and fcclip.", show_default="all"),
    ] = None,
    mask_prompts: Annotated[Path | None, Option(help="File of learned mask prompts.")] = None,
    ovseg_compat: Annotated[
        bool, Option("--ovseg-compat", help="Crop regions as OVSeg's release does, without antialiasing.")
    ] = False,
    tile: Annotated[
        int | None, Option(min=32, help="Largest side of a tile in pixels, for large images.")
    ] = None,
    max_pixels: Annotated[
        int, Option(min=1, help="Largest image in pixels, unless it is tiled.")
    ] = 16_000_000,
    allow_download: AllowDownload = False,
) -> None:
    """Segment images with your own class names: writes an overlay, a label map and the regions."""
    from radapter.commands.segment import Classes, Images, Scores
    from radapter.commands.segment import segment as run

    run(
        what,
        Images(image, to, tile, max_pixels),
        Classes(classes, templates, synonyms),
        Scores(ensemble, weight, seen),
        proposer=proposer,
        mask_prompts=mask_prompts,
        ovseg_compat=ovseg_compat,
        allow_download=allow_download,
    )


@command(
    "radapter mine captions.csv --to mined --model open_clip:ViT-B-16/openai",
    "radapter mine '{world: scenes, wording: web}' --to mined --floor 0.4 --margin 0.05",
    "radapter mine '{masks: labels, images: photos, classes: classes.txt}' --from-masks --to mined",
    note="If interrupted, run the same command again to continue.",
)
def mine(
    data: Annotated[
        str,
        Argument(
            metavar="PAIRS",
            help="Image-text pairs as in run.yaml: a path or a YAML mapping; with --from-masks, masked images.",
        ),
    ],
    to: Shards,
    model: Annotated[
        str | None,
        Option(metavar="RUN|MODEL", help="The model that scores the regions.", show_default="world:tiny"),
    ] = None,
    proposer: Annotated[
        str | None,
        Option(help="Region proposer: felzenszwalb or transformers:FOLDER.", show_default="felzenszwalb"),
    ] = None,
    floor: Annotated[
        str | None,
        Option(help="Smallest cosine of region and noun; auto: median of 256 images.", show_default="auto"),
    ] = None,
    margin: Annotated[
        str | None,
        Option(help="Smallest lead over another noun and over another region; or auto.", show_default="auto"),
    ] = None,
    nouns: Annotated[
        list[str] | None,
        Option(
            help="Nouns to search for: built-in, a file with one per line, or spacy:PIPELINE. Repeatable.",
            show_default="built-in",
        ),
    ] = None,
    template: Annotated[
        str | None, Option(help="Prompt template for a noun.", show_default="a photo of a {}.")
    ] = None,
    min_area: Annotated[
        float | None,
        Option(help="Smallest region, as a fraction of the image.", show_default="0.05; masks: 0.001"),
    ] = None,
    from_masks: Annotated[
        bool, Option("--from-masks", help="Use the true regions of masked images.")
    ] = False,
    limit: Annotated[int | None, Option(min=1, help="Read only this many images.")] = None,
    max_bad: Annotated[float, Option(help="Largest fraction of unreadable images; they are skipped.")] = 0.01,
    allow_download: AllowDownload = False,
) -> None:
    """Mine region-noun pairs from captioned or masked images, to train CLIP for segmentation."""
    from radapter.commands.mine import Images, Search, mine_captions, mine_masks
    from radapter.errors import ConfigError

    images = Images(data, limit, max_bad)
    search: dict[str, Any] = {"model": model, "proposer": proposer, "floor": floor, "margin": margin}
    search |= {"nouns": nouns, "template": template}
    given = {option: value for option, value in search.items() if value is not None}
    if not from_masks:
        mine_captions(images, Search(**given), to=to, min_area=min_area, allow_download=allow_download)
    elif given:
        raise ConfigError(
            f"--from-masks takes classes and regions from the masks. Got --{', --'.join(given)} with it. Leave one "
            "out."
        )
    else:
        mine_masks(images, to=to, min_area=min_area)


@command("radapter prompts runs/segmentation-world")
def prompts(
    run_folder: Annotated[Path, Argument(metavar="RUN", help="A finished run of segmentation.")],
    epochs: Annotated[
        int | None, Option(min=1, help="Passes over the regions.", show_default="the run's")
    ] = None,
    lr: Annotated[float | None, Option(help="Peak learning rate.", show_default="0.05")] = None,
    depth: Annotated[int, Option(min=1, help="Number of blocks with their own tokens.")] = 3,
    allow_download: AllowDownload = False,
) -> None:
    """Train mask prompts, the second stage of segmentation: tokens for masked patches, both towers frozen."""
    from radapter.commands.prompts import prompts as run

    run(run_folder, epochs=epochs, lr=lr, depth=depth, allow_download=allow_download)
