"""`radapter serve`: a page in the browser for one run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from radapter.commands.encoders import identity, weights_of_run
from radapter.commands.search import known_index, updated_index
from radapter.commands.terminal import say, say_aside
from radapter.config import CommonConfig, SegmentationRunConfig, load_stored
from radapter.config.segmentation import frame_of, proposer_of
from radapter.data.images.decoding import check_max_pixels
from radapter.errors import ConfigError, MissingExtraError, import_extra
from radapter.operations.checks import check_text_tower
from radapter.progress import is_quiet
from radapter.run import open_run
from radapter.runs.alpha_sweep import temperatures_of
from radapter.runs.directory import CONFIG
from radapter.runs.weights import read_about
from radapter.segmentation import CropStyle, FelzenszwalbProposer
from radapter.serve.blend import Blend
from radapter.serve.server import address, bound, private_folder
from radapter.serve.server import serve as run_server
from radapter.serve.uploads import Uploads
from radapter.zeroshot import templates as prompts_of

if TYPE_CHECKING:
    from radapter.serve.page import Regions

_REGIONS = 40  # of an image, unless a run of segmentation says more or fewer
_TITLE = "radapter: {run}"


class Limits(NamedTuple):
    """Largest upload in bytes, and in pixels."""

    bytes: int
    pixels: int


def serve(
    run: Path,
    *,
    data: Path | None,
    index: Path | None,
    host: str,
    port: int,
    limits: Limits,
    allow_download: bool,
) -> None:
    """Serves the page of a run until it is interrupted.

    Raises:
        InputError: the run is not finished, the folder or its index cannot be used, the address is not free, or
            gradio is not installed.
    """
    if index is not None and data is None:
        raise ConfigError(f"--index is for --data. Got '{index}' without it. Give --data, or leave it out.")
    check_max_pixels(limits.pixels)
    open_run(run)
    about, config = read_about(run), load_stored(run / CONFIG)
    known = None if data is None else known_index(data, index)
    with bound(host, port) as listening, private_folder() as folder:
        import_extra("gradio", "radapter serve needs gradio", extra="demo")
        from radapter.serve.page import Searched, build, starting_classes

        with weights_of_run(run, allow_download=allow_download) as (trained, line):
            check_text_tower(trained.classifier.encoder)
            classnames, prompts = about.get("classnames") or (), prompts_of(about.get("templates") or "short")
            blend = Blend(
                trained,
                line,
                alpha=about["alpha"],
                classnames=classnames,
                templates=prompts,
                temperatures=temperatures_of(run, about["method"]),
            )
            searched = None
            if data is not None:
                with blend.at(blend.alpha) as encoder:
                    model = identity(run, base=trained.base, alpha=blend.alpha)
                    searched = Searched(
                        data, updated_index(encoder, data, model=model, known=known, to=index)
                    )
            starting = starting_classes(classnames, prompts)
            page = build(
                blend,
                Uploads(blend.encoder, folder, max_pixels=limits.pixels),
                title=_TITLE.format(run=run.resolve().name),
                about=f"{about['method']} on {config.model}",
                classes=None if isinstance(config, SegmentationRunConfig) else starting,
                regions=_regions(config, starting),
                searched=searched,
                max_bytes=limits.bytes,
            )
            url = address(listening)
            say(url if is_quiet() else f"Open {url} in a browser. Press Ctrl-C to stop.")
            try:
                run_server(page, listening, folder=folder, max_bytes=limits.bytes)
            except KeyboardInterrupt:
                pass  # how a server is stopped
            finally:
                blend.close()


def _regions(config: CommonConfig, classnames: Sequence[str]) -> "Regions | None":
    """How a run of segmentation finds and cuts regions; the defaults for one with classes, None without."""
    from radapter.serve.page import Regions

    if isinstance(config, SegmentationRunConfig):
        regions = config.regions
        style = CropStyle(ovseg_compat=regions.ovseg_compat, **frame_of(regions)._asdict())
        return Regions(proposer_of(regions), style, classnames)
    if not classnames:
        return None
    try:
        return Regions(FelzenszwalbProposer(max_regions=_REGIONS), CropStyle(), classnames)
    except MissingExtraError as error:
        say_aside(f"No tab for segmentation: {error}")
        return None
