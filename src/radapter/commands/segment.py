"""`radapter segment`: the classes of an image's regions, drawn over it and in files."""

import os
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from radapter.commands.checks import check_text_tower
from radapter.commands.class_texts import check_texts
from radapter.commands.encoders import encoder_of
from radapter.commands.terminal import next_steps, say, say_aside
from radapter.config import SegmentationRunConfig, load_stored
from radapter.config.segmentation import frame_of
from radapter.data.pictures.decoding import decode, opened
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text
from radapter.progress import counting
from radapter.runs.directory import CONFIG
from radapter.runs.weights import read_about
from radapter.search.index import images_below
from radapter.search.sheet import printable
from radapter.segmentation import (
    Ensemble,
    FelzenszwalbProposer,
    MaskFile,
    MaskPrompts,
    MaskProposer,
    Proposals,
    RegionClassifier,
    Segmentation,
    TransformersProposer,
    check_ensemble,
    mask_file_of,
    names_of,
)
from radapter.segmentation import segment as segment_images
from radapter.segmentation.canvas import Canvas, tiles
from radapter.segmentation.classifier import Synonyms
from radapter.segmentation.crops import CropStyle
from radapter.segmentation.overlay import overlay, shares
from radapter.storage import check_destination, check_writable, whole_file, write_json
from radapter.zeroshot import check_classnames
from radapter.zeroshot import templates as prompts_of

MAX_PIXELS = 16_000_000
"""Of an image that is not tiled: 100 regions of it are 3 GB in half precision."""
_SHOWN = 8

_ProposerOf = Callable[[Path], MaskProposer]
_Stages = Callable[[Sequence[Image.Image], Sequence[Proposals]], list[Segmentation]]


class _Files(NamedTuple):
    """What is written of one image."""

    overlay: Path
    labels: Path
    regions: Path


def segment(
    what: str,
    *,
    image: Path,
    classes: str,
    to: Path,
    proposer: str = "felzenszwalb",
    templates: str | None = None,
    synonyms: Synonyms = "mean",
    ensemble: Ensemble = "region",
    weight: str | None = None,
    seen: str | None = None,
    mask_prompts: Path | None = None,
    ovseg_compat: bool = False,
    tile: int | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_download: bool = False,
) -> list[Path]:
    """Segments an image, or each image of a folder, and writes an overlay, a label map and the regions of each.

    A run of segmentation frames regions as in its training.

    Args:
        what: a run folder, used at its chosen alpha, or a model's name.
        image: an image, or a folder that is read at any depth.
        classes: names with commas between; or classes with semicolons between, their synonyms with commas between;
            or a text file with one class a line.
        to: the overlay, a PNG; of a folder, a folder. `.labels.png` and `.json` lie beside it. Existing files are
            replaced.
        proposer: "felzenszwalb", "transformers:FOLDER" or "files:FOLDER".
        templates: short, imagenet, a text file or one template; None for the run's, or short.
        synonyms: how they are joined, "mean" or "max".
        ensemble: how the proposer's own scores are joined in, one of ENSEMBLES.
        weight: of CLIP in it, or two with a comma between for fcclip; None for the published.
        seen: the classes that the proposer was trained on, as `classes`, for zsseg and fcclip; None for all.
        mask_prompts: learned tokens for the background.
        ovseg_compat: crops as OVSeg's release makes them.
        tile: images are segmented in tiles of at most this side, pixels; None takes each as a whole.
        max_pixels: an image that is not tiled and has more is refused.
        allow_download: whether the hub may be asked.

    Returns:
        The overlays that were written.

    Raises:
        InputError: an argument, the model or the proposer; of a single image also the image or its masks, of a
            folder only where not one image could be done.
    """
    classnames = _classes(classes)
    weights = _weights(weight)
    check_ensemble(ensemble, weights)
    if image.is_dir():
        check_writable(to)
    else:
        check_destination(to)
    work = _work(image, to)
    proposer_of = _proposer(proposer, classnames if ensemble != "region" else None, tile=tile)
    prompts = prompts_of(_templates(what, templates))
    done: dict[str, Canvas] = {}
    failed: list[DataError] = []
    with encoder_of(what, allow_download=allow_download) as (encoder, _), counting() as bar:
        check_text_tower(encoder)
        check_texts(
            encoder,
            classnames,
            prompts,
            origin="--classes",
            remedy="Give other names in --classes.",
            synonyms=names_of,
        )
        classifier = RegionClassifier(
            encoder,
            classnames,
            prompts,
            synonyms=synonyms,
            prompts=None if mask_prompts is None else MaskPrompts.load(mask_prompts, encoder),
            style=CropStyle(ovseg_compat=ovseg_compat, **_frame(what)),
        )
        stages = partial(
            segment_images,
            classifier=classifier,
            ensemble=ensemble,
            weight=weights,
            seen=_seen(seen, classnames, ensemble),
        )
        about = {"model": what, "proposer": proposer, "ensemble": ensemble, "templates": list(prompts)}
        report = bar("segmenting")
        report(0, len(work))
        for name, files in work.items():
            source = image / name if image.is_dir() else image
            try:
                picture = _decoded(source, tile=tile, max_pixels=max_pixels)
                canvas = _segmented(
                    picture, proposer_of(Path(name)), stages, classnames, tile=tile, where=source
                )
            except DataError as error:
                failed.append(error)
            else:
                _write(files, picture, canvas, classnames, {"image": name, **about})
                done[name] = canvas
            report(len(done) + len(failed), len(work))
    _report_failures(failed, of=len(work), single=not image.is_dir())
    for name, canvas in done.items():
        _print_classes(name, canvas, classnames)
    first = work[next(iter(done))].overlay
    next_steps(("look at it", f"open {shlex.quote(str(first))}"))
    return [work[name].overlay for name in done]


def _segmented(
    picture: Image.Image,
    proposer: MaskProposer,
    stages: _Stages,
    classnames: Sequence[str],
    *,
    tile: int | None,
    where: Path,
) -> Canvas:
    canvas = Canvas(picture.size, classnames)
    for part in tiles(picture, tile):
        proposals = proposer(part.image)
        if not len(proposals):
            raise DataError(
                f"an image must have a region. The proposer found none in '{where}'. Give another."
            )
        (found,) = stages([part.image], [proposals])
        canvas.add(part, proposals, found)
    return canvas


def _decoded(source: Path, *, tile: int | None, max_pixels: int) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns from its limit on and refuses from twice that on: only the latter holds here.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        if tile is not None:
            return decode(source, where=str(source), max_pixels=2 * (Image.MAX_IMAGE_PIXELS or MAX_PIXELS))
        width, height = _size(source)
        if width * height > max_pixels:
            raise DataError(
                f"an image must have at most {max_pixels:,} pixels to be segmented as a whole. '{source}' has "
                f"{width} x {height} = {width * height:,}. Use --tile 1024 to segment it in parts, shrink it, or "
                "raise --max-pixels if memory allows: 200 bytes a pixel and more."
            )
        return decode(source, where=str(source), max_pixels=max_pixels)


def _size(source: Path) -> tuple[int, int]:
    """Width and height by the header; zeros where there is none, which is said when the file is decoded."""
    try:
        with opened(source) as header:
            return header.size
    except Exception:  # decoders raise anything at all
        return 0, 0


def _write(
    files: _Files, picture: Image.Image, canvas: Canvas, classnames: Sequence[str], about: dict[str, object]
) -> None:
    with whole_file(files.labels) as file:
        canvas.write_labels(file)
    write_json(files.regions, canvas.document(about))
    with whole_file(files.overlay) as file:
        overlay(picture, canvas.labels, classnames).save(file, "PNG")


def _classes(text: str) -> list[str]:
    """The classes that an option names.

    Raises:
        ConfigError: fewer than two.
        DataError: a name is empty, or two classes are alike.
    """
    # A Path raises where a list of names is longer than the name of a file may be.
    if os.path.isfile(text):  # noqa: PTH113
        try:
            lines = read_text(text).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--classes must be names or a UTF-8 text file. '{text}': {error}.") from error
        entries = [line.strip() for line in lines if line.strip()]
    else:
        entries = [entry.strip() for entry in text.split(";" if ";" in text else ",")]
    names = [", ".join(names_of(entry)) for entry in entries]
    check_classnames(names)
    if len(names) < 2:
        raise ConfigError(
            f"--classes must hold two or more. Got only '{names[0]}', which every region would be. Add what else "
            "there may be, such as 'background'."
        )
    return names


def _seen(text: str | None, classnames: Sequence[str], ensemble: Ensemble) -> Tensor | None:
    """(C,), bool, which classes the proposer was trained on; None where the ensemble does not ask."""
    if ensemble not in ("zsseg", "fcclip"):
        if text is not None:
            raise ConfigError(
                f"--seen is for the ensembles zsseg and fcclip. Got it with '{ensemble}'. Leave it out."
            )
        return None
    if text is None:
        return torch.ones(len(classnames), dtype=torch.bool)
    named = [", ".join(names_of(entry)) for entry in text.split(";" if ";" in text else ",")]
    for name in named:
        if name not in classnames:
            raise ConfigError(
                f"--seen must hold classes of --classes. Got '{name}'.{did_you_mean(name, classnames)}"
            )
    return torch.tensor([name in named for name in classnames])


def _weights(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    raise ConfigError(
        f"--weight must be a number, or two with a comma between. Got '{text}'. Use 0.7 or 0.4,0.8."
    )


def _proposer(spec: str, classnames: Sequence[str] | None, *, tile: int | None) -> _ProposerOf:
    """What finds the regions of an image by its name; `classnames` where their scores are asked for."""
    scheme, _, rest = spec.partition(":")
    if scheme == "transformers" and rest:
        queries = TransformersProposer.from_folder(Path(rest), classnames=classnames)
        return lambda name: queries
    if classnames is not None and scheme in ("felzenszwalb", "files"):
        raise ConfigError(
            f"an ensemble needs a proposer with class scores of its own. '{spec}' has none. Use --proposer "
            "transformers:FOLDER, or --ensemble region."
        )
    if spec == "felzenszwalb":
        segments = FelzenszwalbProposer()
        return lambda name: segments
    if scheme == "files" and rest:
        if not Path(rest).is_dir():
            raise ConfigError(f"--proposer files: needs a folder. '{rest}' is none. Give another.")
        if tile is not None:
            raise ConfigError(
                "--proposer files: has the masks of whole images. Got it with --tile. Leave one out."
            )
        return lambda name: MaskFile(mask_file_of(Path(rest), name))
    known = ("felzenszwalb", "transformers:FOLDER", "files:FOLDER")
    raise ConfigError(f"--proposer must be {', '.join(known)}. Got '{spec}'.{did_you_mean(spec, known)}")


def _frame(what: str) -> dict[str, Any]:
    """`expand` and `square` of a run of segmentation; empty for other runs and for models."""
    if not (Path(what) / CONFIG).is_file():
        return {}
    config = load_stored(Path(what) / CONFIG)
    return frame_of(config.regions)._asdict() if isinstance(config, SegmentationRunConfig) else {}


def _templates(what: str, given: str | None) -> str | list[str]:
    if given is not None:
        return given
    run = Path(what)
    stated: list[str] | None = read_about(run).get("templates") if (run / CONFIG).is_file() else None
    return stated or "short"


def _work(image: Path, to: Path) -> dict[str, _Files]:
    """The images to do, by name, and what is written of each.

    Raises:
        ConfigError: what would be written is in the way of an image, of another's files, or has no PNG's name.
        DataError: there is no image.
    """
    if image.is_dir():
        if to.is_file():
            raise ConfigError(f"--to must be a folder, as --image. '{to}' is a file. Give another.")
        targets = {name: (to / name).with_suffix(".png") for name in images_below(image)}
    else:
        if not image.is_file():
            raise DataError(f"--image must be an image or a folder. '{image}' is neither. Give another.")
        if to.suffix.lower() != ".png" or to.is_dir():
            raise ConfigError(f"--to must be the name of a PNG. Got '{to}'. Use {to.with_suffix('.png')}.")
        targets = {image.name: to}
    work = {
        name: _Files(target, target.with_suffix(".labels.png"), target.with_suffix(".json"))
        for name, target in targets.items()
    }
    sources = {(image / name if image.is_dir() else image).resolve() for name in work}
    taken: dict[Path, str] = {}
    for name, files in work.items():
        for file in files:
            if file.resolve() in sources:
                raise ConfigError(f"--to must leave the images as they are. '{file}' is one. Give another.")
            if file in taken:
                raise ConfigError(
                    f"images must differ in more than their suffix. '{taken[file]}' and '{name}' would both be "
                    f"'{file}'. Rename one."
                )
            taken[file] = name
    return work


def _report_failures(failed: Sequence[DataError], *, of: int, single: bool) -> None:
    if not failed:
        return
    if single:
        raise failed[0]
    if len(failed) == of:
        raise DataError(
            f"a folder must hold an image that can be segmented. Of {of} not one image can: {failed[0]}"
        )
    say_aside(f"Images left out: {len(failed)}")
    for error in failed[:_SHOWN]:
        say_aside(f"  {printable(str(error))}")
    if len(failed) > _SHOWN:
        say_aside(f"  and {len(failed) - _SHOWN} more")


def _print_classes(name: str, canvas: Canvas, classnames: Sequence[str]) -> None:
    say(f"\n{printable(name)}: {len(canvas.regions)} regions", style="bold")
    for line in _lines(canvas, classnames):
        say(line)


def _lines(canvas: Canvas, classnames: Sequence[str]) -> Iterator[str]:
    found = shares(canvas.labels)
    width = max(len(classnames[entry.number]) if entry.number >= 0 else len("no region") for entry in found)
    for entry in found:
        label = classnames[entry.number] if entry.number >= 0 else "no region"
        yield f"  {label:<{width}}  {100 * entry.share:>5.1f} %"
