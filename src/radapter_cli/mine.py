"""`radapter mine`."""

from pathlib import Path
from typing import Annotated

import typer

from radapter_cli.application import command
from radapter_cli.options import AllowDownload


@command(
    "radapter mine captions.csv --to mined --model open_clip:ViT-B-16/openai",
    "radapter mine '{world: scenes, wording: web}' --to mined --floor 0.4 --margin 0.05",
    "radapter mine '{masks: labels, images: photos, classes: classes.txt}' --from-masks --to mined",
    note="If interrupted, run the same command again to continue.",
)
def mine(
    data: Annotated[
        str,
        typer.Argument(
            metavar="PAIRS",
            help="Image-text pairs as in run.yaml: a path or a YAML mapping; with --from-masks, masked images.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="Directory of shards: new, or one that this command started.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|MODEL", help="The model that scores the regions.", show_default="world:tiny"
        ),
    ] = None,
    proposer: Annotated[
        str | None,
        typer.Option(
            help="Region proposer: felzenszwalb or transformers:FOLDER.", show_default="felzenszwalb"
        ),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(
            help="Smallest cosine of region and noun; auto is the median over 256 images.",
            show_default="auto",
        ),
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(
            help="Smallest lead over another noun and over another region; or auto.",
            show_default="auto",
        ),
    ] = None,
    nouns: Annotated[
        list[str] | None,
        typer.Option(
            help="Nouns to search for: built-in, a file with one per line, or spacy:PIPELINE. Repeatable.",
            show_default="built-in",
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(help="Prompt template for a noun.", show_default="a photo of a {}."),
    ] = None,
    min_area: Annotated[
        float | None,
        typer.Option(
            help="Smallest fraction of the image that a region covers.", show_default="0.05; of masks 0.001"
        ),
    ] = None,
    from_masks: Annotated[
        bool, typer.Option("--from-masks", help="Use the true regions of masked images.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only this many images.", show_default=False)
    ] = None,
    max_bad: Annotated[
        float, typer.Option(help="Largest fraction of unreadable images; they are skipped.")
    ] = 0.01,
    allow_download: AllowDownload = False,
) -> None:
    """Mine region-noun pairs from captioned or masked images, to train CLIP for segmentation."""
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
