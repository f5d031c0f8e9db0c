"""`radapter mine`."""

from typing import Annotated, Any

from typer import Argument, Option

from radapter_cli.application import DATA, command
from radapter_cli.options import AllowDownload, Shards


@command(
    "radapter mine captions.csv --out mined --model open_clip:ViT-B-16/openai",
    "radapter mine '{world: scenes, wording: web}' --out mined --floor 0.4 --margin 0.05",
    "radapter mine '{masks: labels, images: photos, classes: classes.txt}' --from-masks --out mined",
    note="If interrupted, run the same command again to continue.",
    panel=DATA,
)
def mine(
    data: Annotated[
        str,
        Argument(
            metavar="PAIRS",
            help="Image-text pairs as in run.yaml: a path or a YAML mapping; with --from-masks, masked images.",
        ),
    ],
    out: Shards,
    model: Annotated[
        str | None,
        Option(
            metavar="RUN|MODEL",
            help="The model that scores the regions: a run, a merged directory, or a model's name.",
            show_default="world:tiny",
        ),
    ] = None,
    proposer: Annotated[
        str | None,
        Option(help="Region proposer: felzenszwalb or transformers:FOLDER.", show_default="felzenszwalb"),
    ] = None,
    floor: Annotated[
        str | None,
        Option(
            help="Minimum cosine between region and noun. auto: the median over the regions of 256 images.",
            show_default="auto",
        ),
    ] = None,
    margin: Annotated[
        str | None,
        Option(
            help="Minimum difference in cosine to the runner-up, another noun or another region; or auto.",
            show_default="auto",
        ),
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
        Option(
            help="Smallest region, as a fraction of the image.",
            show_default="0.05, or 0.001 with --from-masks",
        ),
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
        mine_captions(images, Search(**given), to=out, min_area=min_area, allow_download=allow_download)
    elif given:
        raise ConfigError(
            f"--from-masks takes classes and regions from the masks. Got --{', --'.join(given)} with it. Leave one "
            "out."
        )
    else:
        mine_masks(images, to=out, min_area=min_area)
