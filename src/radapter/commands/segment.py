"""`radapter segment`: the classes of an image's regions, drawn over it and written to files."""

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from radapter import segmentation
from radapter.commands.encoders import encoder_of
from radapter.commands.region_options import proposer_of_images, read_classes, read_seen, read_weights
from radapter.commands.terminal import next_steps, report_left_out, say
from radapter.config import SegmentationRunConfig, load_stored
from radapter.config.segmentation import frame_of
from radapter.data.images.decoding import decode, opened
from radapter.errors import ConfigError, DataError
from radapter.operations.checks import check_text_tower
from radapter.operations.class_texts import check_texts
from radapter.progress import counting
from radapter.runs.directory import CONFIG
from radapter.runs.weights import read_about
from radapter.search.index import images_below
from radapter.search.sheet import printable
from radapter.segmentation.canvas import Canvas, tiles
from radapter.segmentation.classifier import Synonyms
from radapter.segmentation.crops import CropStyle
from radapter.segmentation.overlay import overlay, shares
from radapter.storage import check_destination, check_writable, whole_file, write_json
from radapter.zeroshot import templates as prompts_of


@dataclass(frozen=True)
class Images:
    """An image, or a folder of images at any depth; each is segmented in tiles, or refused above `max_pixels`."""

    path: Path
    to: Path
    tile: int | None
    max_pixels: int


@dataclass(frozen=True)
class Classes:
    """The classes as text or a file, their templates (None for the run's) and how synonyms are combined."""

    names: str
    templates: str | None
    synonyms: Synonyms


@dataclass(frozen=True)
class Scores:
    """How the proposer's class scores are combined with CLIP's; `weight` and `seen` are texts, None the default."""

    ensemble: segmentation.Ensemble
    weight: str | None
    seen: str | None


class _Files(NamedTuple):
    """An image, and what is written for it."""

    image: Path
    overlay: Path
    labels: Path
    regions: Path


def segment(
    what: str,
    images: Images,
    classes: Classes,
    scores: Scores,
    *,
    proposer: str,
    mask_prompts: Path | None,
    ovseg_compat: bool,
    allow_download: bool,
) -> None:
    """Segments an image, or each image of a folder, and writes an overlay, a label map and the regions of each.

    A run is used at its chosen alpha; one of segmentation crops regions as in its training. Existing files are
    replaced.

    Raises:
        InputError: an argument, the model or the proposer cannot be used; a single image or its masks are bad, or
            every image of a folder is.
    """
    classnames, weights = read_classes(classes.names), read_weights(scores.weight)
    segmentation.check_ensemble(scores.ensemble, weights)
    is_folder = images.path.is_dir()
    check_writable(images.to) if is_folder else check_destination(images.to)
    work = _work(images.path, images.to)
    scored = classnames if scores.ensemble != "region" else None
    proposer_of = proposer_of_images(proposer, scored, tile=images.tile)
    frame, templates = _of_run(what)
    prompts = prompts_of(templates if classes.templates is None else classes.templates)
    done: dict[str, Canvas] = {}
    failed: list[DataError] = []
    with encoder_of(what, allow_download=allow_download) as (encoder, _), counting() as bar:
        check_text_tower(encoder)
        remedy = "Give other names in --classes."
        check_texts(
            encoder, classnames, prompts, origin="--classes", remedy=remedy, synonyms=segmentation.names_of
        )
        classifier = segmentation.RegionClassifier(
            encoder,
            classnames,
            prompts,
            synonyms=classes.synonyms,
            prompts=None if mask_prompts is None else segmentation.MaskPrompts.load(mask_prompts, encoder),
            style=CropStyle(ovseg_compat=ovseg_compat, **frame),
        )
        stages = partial(
            segmentation.segment,
            classifier=classifier,
            ensemble=scores.ensemble,
            weight=weights,
            seen=read_seen(scores.seen, scores.ensemble, classnames),
        )
        about: dict[str, object] = {"model": what, "proposer": proposer, "ensemble": scores.ensemble}
        about["templates"] = list(prompts)
        report = bar("segmenting")
        report(0, len(work))
        for name, files in work.items():
            try:
                image, find_regions = _decoded(files.image, images), proposer_of(Path(name))
                canvas = Canvas(image.size, classnames)
                for part in tiles(image, images.tile):
                    proposals = find_regions(part.image)
                    if not len(proposals):
                        raise DataError(
                            f"an image must have a region. The proposer found none in '{files.image}'. Give another."
                        )
                    (found,) = stages([part.image], [proposals])
                    canvas.add(part, proposals, found)
            except DataError as error:
                failed.append(error)
            else:
                _write(files, image, canvas, classnames, {"image": name, **about})
                done[name] = canvas
            report(len(done) + len(failed), len(work))
    if failed and not is_folder:
        raise failed[0]
    if not done:
        raise DataError(
            f"a folder must hold an image that can be segmented. Of {len(work)} not one image can: {failed[0]}"
        )
    report_left_out("Images left out", [str(error) for error in failed])
    for name, canvas in done.items():
        say(f"\n{printable(name)}: {len(canvas.regions)} regions", style="bold")
        found_shares = shares(canvas.labels)
        labels = [classnames[entry.number] if entry.number >= 0 else "no region" for entry in found_shares]
        for label, entry in zip(labels, found_shares, strict=True):
            say(f"  {label:<{max(map(len, labels))}}  {100 * entry.share:>5.1f} %")
    next_steps(("look at it", f"open {shlex.quote(str(work[next(iter(done))].overlay))}"))


def _decoded(source: Path, images: Images) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns above its limit and refuses above twice that: only the latter applies here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        limit = images.max_pixels
        if images.tile is not None:
            return decode(source, where=str(source), max_pixels=2 * (Image.MAX_IMAGE_PIXELS or limit))
        try:
            with opened(source) as header:
                width, height = header.size
        except Exception:  # decoders raise anything; `decode` reports it
            width, height = 0, 0
        if width * height > limit:
            raise DataError(
                f"an image must have at most {limit:,} pixels to be segmented as a whole. '{source}' has {width} x "
                f"{height} = {width * height:,}. Use --tile 1024 to segment it in parts, shrink it, or raise "
                "--max-pixels if memory allows: 200 bytes a pixel and more."
            )
        return decode(source, where=str(source), max_pixels=limit)


def _write(
    files: _Files, image: Image.Image, canvas: Canvas, classnames: Sequence[str], about: dict[str, object]
) -> None:
    with whole_file(files.labels) as file:
        canvas.write_labels(file)
    write_json(files.regions, canvas.document(about))
    with whole_file(files.overlay) as file:
        overlay(image, canvas.labels, classnames).save(file, "PNG")


def _of_run(what: str) -> tuple[dict[str, Any], str | list[str]]:
    """How a run of segmentation crops regions, and a run's templates; for a model the defaults."""
    run = Path(what)
    if not (run / CONFIG).is_file():
        return {}, "short"
    config = load_stored(run / CONFIG)
    frame = frame_of(config.regions)._asdict() if isinstance(config, SegmentationRunConfig) else {}
    return frame, read_about(run).get("templates") or "short"


def _work(path: Path, to: Path) -> dict[str, _Files]:
    """The images to segment, by name, and what is written for each; nothing is written twice or over an image."""
    if path.is_dir():
        if to.is_file():
            raise ConfigError(f"--out must be a folder, as --data. '{to}' is a file. Give another.")
        targets = {name: (path / name, (to / name).with_suffix(".png")) for name in images_below(path)}
    else:
        if not path.is_file():
            raise DataError(f"--data must be an image or a folder. '{path}' is neither. Give another.")
        if to.suffix.lower() != ".png" or to.is_dir():
            raise ConfigError(f"--out must be the name of a PNG. Got '{to}'. Use {to.with_suffix('.png')}.")
        targets = {path.name: (path, to)}
    work = {
        name: _Files(image, target, target.with_suffix(".labels.png"), target.with_suffix(".json"))
        for name, (image, target) in targets.items()
    }
    images = {files.image.resolve() for files in work.values()}
    taken: dict[Path, str] = {}
    for name, files in work.items():
        for file in files[1:]:
            if file.resolve() in images:
                raise ConfigError(f"--out must not replace an image. '{file}' is one. Give another.")
            if file in taken:
                raise ConfigError(
                    f"images must differ in more than their suffix. '{taken[file]}' and '{name}' would both be "
                    f"'{file}'. Rename one."
                )
            taken[file] = name
    return work
