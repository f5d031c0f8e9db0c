"""`radapter segment`."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from radapter_cli.application import USE, command
from radapter_cli.options import AllowDownload, RunOrModel


@command(
    "radapter segment runs/segmentation --data street.jpg --classes 'sky, road, tree' --out street.png",
    "radapter segment world:tiny --data photos --classes 'car, automobile; sky; tree' --out segmented",
    "radapter segment open_clip:ViT-B-16/openai --data photos --classes classes.txt --out segmented "
    "--proposer transformers:mask2former --ensemble ovseg",
    panel=USE,
)
def segment(
    what: RunOrModel,
    data: Annotated[Path, Option(help="An image, or a folder; images at any depth are segmented.")],
    classes: Annotated[
        str,
        Option(
            help="Comma-separated names; or classes separated by semicolons, with comma-separated synonyms; "
            "or a file with one class per line."
        ),
    ],
    out: Annotated[
        Path,
        Option(
            help="The overlay, a PNG, or a folder of overlays; NAME.labels.png and NAME.json are written beside it."
        ),
    ],
    proposer: Annotated[
        str, Option(help="Region proposer: felzenszwalb, transformers:FOLDER or files:FOLDER.")
    ] = "felzenszwalb",
    templates: Annotated[
        str | None,
        Option(
            help="Prompt templates: short, imagenet, a file or one template.", show_default="the run's own"
        ),
    ] = None,
    synonyms: Annotated[
        Literal["mean", "max"], Option(help="How the scores of a class's names are combined.")
    ] = "mean",
    ensemble: Annotated[
        Literal["region", "ovseg", "zsseg", "fcclip"],
        Option(
            metavar="NAME",
            help="How the proposer's own class scores are combined with CLIP's: ovseg, zsseg, fcclip, or region, "
            "which ignores them.",
        ),
    ] = "region",
    weight: Annotated[
        str | None,
        Option(
            help="Weight of CLIP in the ensemble; for fcclip two weights, for seen and unseen classes: 0.4,0.8.",
            show_default="0.7 for ovseg and zsseg; 0.4,0.8 for fcclip",
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
        Images(data, out, tile, max_pixels),
        Classes(classes, templates, synonyms),
        Scores(ensemble, weight, seen),
        proposer=proposer,
        mask_prompts=mask_prompts,
        ovseg_compat=ovseg_compat,
        allow_download=allow_download,
    )
