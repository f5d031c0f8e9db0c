"""Draws a segmentation: the image under its classes' colours, names on the regions, a legend with shares."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from radapter.errors import MissingExtraError
from radapter.segmentation.palette import UNLABELLED, colour
from radapter.segmentation.pixels import NOTHING

LONGEST = 960
"""Pixels of the drawn image's longer side, whatever the image has; the legend is added to its right."""

_TINT = 0.5
_NAME, _LEGEND = 20, 18  # pixels of a letter
_ROOM = 16  # pixels from a name's middle to its region's edge
_MARGIN, _SWATCH, _LINE = 18, 18, 28
_INK, _SOFT, _PAPER = (29, 29, 27), (106, 106, 102), (255, 255, 255)
_NAMED = 3  # regions of a class that carry its name
_LONGEST_NAME = 28

_Labels = npt.NDArray[np.integer[Any]]
_Box = tuple[float, float, float, float]


class Share(NamedTuple):
    """A class in a picture. number: into the classes, NOTHING for none. share: fraction of the pixels, in [0, 1]."""

    number: int
    share: float


def shares(labels: Tensor) -> list[Share]:
    """The classes of a label map, those with most pixels first; the lower number first if they are equal."""
    counts = torch.bincount(labels.flatten() - NOTHING).tolist()
    found = [
        Share(number, count / labels.numel()) for number, count in enumerate(counts, start=NOTHING) if count
    ]
    return sorted(found, key=lambda entry: (-entry.share, entry.number))


def overlay(image: Image.Image, labels: Tensor, classnames: Sequence[str]) -> Image.Image:
    """Draws a segmentation.

    Args:
        image: RGB.
        labels: (H, W), int, into the classes, or NOTHING.
        classnames: One a class; the first of several names separated by commas is written.

    Returns:
        RGB; the image part has LONGEST pixels on its longer side.
    """
    scale = LONGEST / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    drawn = _resized_labels(labels, size)
    picture = _tinted(image.convert("RGB").resize(size, Image.Resampling.LANCZOS), drawn)
    _write_names(picture, drawn, classnames)
    return _with_legend(picture, shares(labels), classnames)


def _resized_labels(labels: Tensor, size: tuple[int, int]) -> _Labels:
    rows = (np.arange(size[1]) * labels.shape[0]) // size[1]
    columns = (np.arange(size[0]) * labels.shape[1]) // size[0]
    resized: _Labels = labels.numpy()[rows[:, None], columns[None, :]]
    return resized


def _tinted(picture: Image.Image, labels: _Labels) -> Image.Image:
    table = np.array(
        [UNLABELLED, *(colour(number) for number in range(int(labels.max()) + 1))], dtype=np.float64
    )
    tint = table[labels + 1]
    share = np.where(labels < 0, 0.75, _TINT)[..., None]
    grey = np.asarray(picture.convert("L"), dtype=np.float64)[
        ..., None
    ]  # a picture's own colours would mix with them
    pixels = grey * (1 - share) + tint * share
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    for edge, one, other in ((across, pixels[:, 1:], pixels[:, :-1]), (down, pixels[1:], pixels[:-1])):
        one[edge] = other[edge] = _PAPER
    return Image.fromarray((pixels + 0.5).astype(np.uint8))


def _write_names(picture: Image.Image, labels: _Labels, classnames: Sequence[str]) -> None:
    font = _font(_NAME)
    draw = ImageDraw.Draw(picture)
    taken: list[_Box] = []
    for room, (x, y), number in sorted(_places(labels), reverse=True):
        text = _short(classnames[number])
        width, height = draw.textlength(text, font=font) + 14, _NAME + 10
        left = min(max(x - width / 2, 2), picture.width - width - 2)
        top = min(max(y - height / 2, 2), picture.height - height - 2)
        box = (left, top, left + width, top + height)
        if room < _ROOM or left < 0 or any(_touch(box, other) for other in taken):
            continue
        taken.append(box)
        draw.rounded_rectangle(box, radius=6, fill=_PAPER, outline=colour(number), width=3)
        draw.text((left + width / 2, top + height / 2), text, fill=_INK, font=font, anchor="mm")


def _places(labels: _Labels) -> Iterator[tuple[float, tuple[int, int], int]]:
    """Distance to the region's edge, x and y of where that is largest, and the class."""
    ndimage = _ndimage()
    for number, place in enumerate(ndimage.find_objects(labels + 1)):
        if place is None:
            continue
        regions, count = ndimage.label(labels[place] == number)
        sizes = np.bincount(regions.reshape(-1), minlength=count + 1)[1:]
        boxes = ndimage.find_objects(regions)
        for region in np.argsort(-sizes, kind="stable")[:_NAMED]:
            rows, columns = boxes[region]
            inside = regions[rows, columns] == region + 1
            if min(inside.shape) < 2 * _ROOM:
                continue
            depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            middle = place[1].start + columns.start + int(x), place[0].start + rows.start + int(y)
            yield float(depth.max()), middle, number


def _with_legend(picture: Image.Image, found: Sequence[Share], classnames: Sequence[str]) -> Image.Image:
    font = _font(_LEGEND)
    names = ["no region" if entry.number < 0 else _short(classnames[entry.number]) for entry in found]
    fits = max(1, (picture.height - 2 * _MARGIN) // _LINE)
    shown = len(found) if len(found) <= fits else fits - 1
    rest = f"and {len(found) - shown} more" if shown < len(found) else ""
    longest = max(font.getlength(name) for name in [*names[:shown], rest])
    share_at = _MARGIN + _SWATCH + 10 + longest + 24
    canvas = Image.new(
        "RGB",
        (
            round(picture.width + share_at + font.getlength("100 %") + _MARGIN),
            max(picture.height, 2 * _MARGIN + _LINE),
        ),
        _PAPER,
    )
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    right = canvas.width - _MARGIN
    for row, (entry, name) in enumerate(zip(found[:shown], names[:shown], strict=True)):
        x, y = picture.width + _MARGIN, _MARGIN + row * _LINE
        fill = UNLABELLED if entry.number < 0 else colour(entry.number)
        draw.rounded_rectangle((x, y, x + _SWATCH, y + _SWATCH), radius=4, fill=fill)
        draw.text((x + _SWATCH + 10, y + _SWATCH / 2), name, fill=_INK, font=font, anchor="lm")
        draw.text((right, y + _SWATCH / 2), _percent(entry.share), fill=_SOFT, font=font, anchor="rm")
    if rest:
        place = (picture.width + _MARGIN + _SWATCH + 10, _MARGIN + shown * _LINE + _SWATCH / 2)
        draw.text(place, rest, fill=_SOFT, font=font, anchor="lm")
    return canvas


def _percent(share: float) -> str:
    return "< 1 %" if share < 0.005 else f"{100 * share:.0f} %"


def _short(entry: str) -> str:
    name = entry.split(",")[0].strip()
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _touch(first: _Box, second: _Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _ndimage() -> Any:
    try:
        from scipy import ndimage
    except ImportError as error:
        raise MissingExtraError(
            "an overlay needs scipy, which comes with scikit-image and is not installed. "
            "Run pip install 'radapter[segmentation]'."
        ) from error
    return ndimage
