"""`radapter segment`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload, RunOrModel


@command(
    "radapter segment runs/run --image street.jpg --classes 'sky, road, tree' --to street.png",
    "radapter segment world:tiny --image photos --classes 'car, automobile; sky; grass' --to segmented",
    "radapter segment open_clip:ViT-B-16/openai --image photos --classes classes.txt --to segmented "
    "--proposer transformers:mask2former --ensemble ovseg",
)
def segment(
    what: RunOrModel,
    image: Annotated[Path, typer.Option(help="An image, or a folder; images at any depth are segmented.")],
    classes: Annotated[
        str,
        typer.Option(
            help="Comma-separated names; or classes separated by semicolons, with comma-separated synonyms; "
            "or a file with one class per line."
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            help="The overlay, a PNG, or a folder of overlays; NAME.labels.png and NAME.json are written beside it."
        ),
    ],
    proposer: Annotated[
        str, typer.Option(help="Region proposer: felzenszwalb, transformers:FOLDER or files:FOLDER.")
    ] = "felzenszwalb",
    templates: Annotated[
        str | None,
        typer.Option(
            help="short, imagenet, a file or one template; default: the run's own.", show_default=False
        ),
    ] = None,
    synonyms: Annotated[
        Literal["mean", "max"], typer.Option(help="How the scores of a class's names are combined.")
    ] = "mean",
    ensemble: Annotated[
        Literal["region", "ovseg", "zsseg", "fcclip"],
        typer.Option(
            help="How the proposer's own class scores are combined with CLIP's; region ignores them."
        ),
    ] = "region",
    weight: Annotated[
        str | None,
        typer.Option(
            help="Weight of CLIP in the ensemble; for fcclip two weights, for seen and unseen classes: 0.4,0.8.",
            show_default="0.7; 0.4,0.8",
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            help="Classes that the proposer was trained on, for zsseg and fcclip.", show_default="all"
        ),
    ] = None,
    mask_prompts: Annotated[
        Path | None, typer.Option(help="File of learned mask prompts.", show_default=False)
    ] = None,
    ovseg_compat: Annotated[
        bool,
        typer.Option("--ovseg-compat", help="Crop regions as OVSeg's release does, without antialiasing."),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Largest side of a tile in pixels, for large images.",
            show_default=False,
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Largest image in pixels, unless it is tiled.")
    ] = 16_000_000,
    allow_download: AllowDownload = False,
) -> None:
    """Segment images with your own class names: writes an overlay, a label map and the regions."""
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
