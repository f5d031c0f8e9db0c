"""Draws a segmentation: the image under its classes' colours, names on the regions, a legend with shares.

People with any colour vision can tell the colours apart, as far as their number allows. The first seven are those of
Okabe and Ito (2008), the next nine Paul Tol's "muted" (2021). Further ones step around the hues by the golden ratio,
in three lightnesses. No palette is safe beyond sixteen colours: names on the regions tell the classes apart.
"""

import colorsys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from radapter.errors import import_extra
from radapter.segmentation.pixels import NOTHING

Rgb = tuple[int, int, int]

LONGEST = 960
"""Pixels of the drawn image's longer side, whatever the image has; the legend is added to its right."""
UNLABELLED: Rgb = (128, 128, 128)

_SAFE: tuple[Rgb, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (240, 228, 66), (0, 114, 178),
    (136, 34, 85), (17, 119, 51), (51, 34, 136), (221, 204, 119), (136, 204, 238), (204, 102, 119), (68, 170, 153),
    (170, 68, 153), (153, 153, 51),
)  # fmt: skip
_GOLDEN = 0.618034
_LIGHTNESS = (0.45, 0.65, 0.3)
_TINT = 0.5
_NAME, _LEGEND = 20, 18  # pixels of a letter
_CLEARANCE = 16  # pixels from a name's middle to its region's edge
_MARGIN, _SWATCH, _LINE = 18, 18, 28
_INK, _SOFT, _PAPER = (29, 29, 27), (106, 106, 102), (255, 255, 255)
_NAMED = 3  # regions of a class that carry its name
_LONGEST_NAME = 28

_Labels = npt.NDArray[np.integer[Any]]


class Share(NamedTuple):
    """A class in an image."""

    number: int  # into the classes, NOTHING for none
    share: float  # of the pixels, in [0, 1]


def colour(number: int) -> Rgb:
    """The colour of class `number`, from 0."""
    if number < 0:
        return UNLABELLED
    if number < len(_SAFE):
        return _SAFE[number]
    step = number - len(_SAFE)
    lightness = _LIGHTNESS[step % len(_LIGHTNESS)]
    red, green, blue = colorsys.hls_to_rgb(step * _GOLDEN % 1, lightness, 0.65)
    return round(255 * red), round(255 * green), round(255 * blue)


def shares(labels: Tensor) -> list[Share]:
    """The classes of a label map, those with most pixels first; the lower number first if they are equal."""
    counts = torch.bincount(labels.flatten() - NOTHING).tolist()
    found = [Share(row + NOTHING, count / labels.numel()) for row, count in enumerate(counts) if count]
    return sorted(found, key=lambda entry: (-entry.share, entry.number))


def overlay(image: Image.Image, labels: Tensor, classnames: Sequence[str]) -> Image.Image:
    """`coloured`, with a legend to its right."""
    return _with_legend(coloured(image, labels, classnames), shares(labels), classnames)


def coloured(image: Image.Image, labels: Tensor, classnames: Sequence[str]) -> Image.Image:
    """Draws labels (H, W), int, into the classes or NOTHING, over their image: RGB, with LONGEST pixels on its
    longer side. Of several names of a class, separated by commas, only the first is drawn."""
    scale = LONGEST / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    resized: _Labels = labels.numpy()[rows[:, None], columns[None, :]]
    drawn = tinted(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), resized)
    _write_names(drawn, resized, classnames)
    return drawn


def tinted(image: Image.Image, labels: _Labels) -> Image.Image:
    """An image of the size of its labels, in grey under the colours of their classes."""
    colours = [colour(number) for number in range(-1, int(labels.max()) + 1)]
    tint = np.array(colours, dtype=np.float64)[labels + 1]
    share = np.where(labels < 0, 0.75, _TINT)[..., None]
    grey = np.asarray(image.convert("L"), dtype=np.float64)[
        ..., None
    ]  # the image's own colours would mix with them
    pixels = grey * (1 - share) + tint * share
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    for edge, one, other in ((across, pixels[:, 1:], pixels[:, :-1]), (down, pixels[1:], pixels[:-1])):
        one[edge] = other[edge] = _PAPER
    return Image.fromarray((pixels + 0.5).astype(np.uint8))


def _write_names(image: Image.Image, labels: _Labels, classnames: Sequence[str]) -> None:
    font, draw = _font(_NAME), ImageDraw.Draw(image)
    taken: list[tuple[float, float, float, float]] = []
    for clearance, (x, y), number in sorted(_places(labels), reverse=True):
        text = _short(classnames[number])
        width, height = draw.textlength(text, font=font) + 14, _NAME + 10
        left = min(max(x - width / 2, 2), image.width - width - 2)
        top = min(max(y - height / 2, 2), image.height - height - 2)
        right, bottom = left + width, top + height
        overlaps = any(left < o[2] and o[0] < right and top < o[3] and o[1] < bottom for o in taken)
        if clearance < _CLEARANCE or left < 0 or overlaps:
            continue
        taken.append((left, top, right, bottom))
        draw.rounded_rectangle(taken[-1], radius=6, fill=_PAPER, outline=colour(number), width=3)
        draw.text((left + width / 2, top + height / 2), text, fill=_INK, font=font, anchor="mm")


def _places(labels: _Labels) -> Iterator[tuple[float, tuple[int, int], int]]:
    """Distance to the region's edge, x and y of where that is largest, and the class."""
    need = "an overlay needs scipy, which comes with scikit-image"
    ndimage = import_extra("scipy.ndimage", need, extra="segmentation")
    for number, place in enumerate(ndimage.find_objects(labels + 1)):
        if place is None:
            continue
        regions, count = ndimage.label(labels[place] == number)
        sizes = np.bincount(regions.reshape(-1), minlength=count + 1)[1:]
        boxes = ndimage.find_objects(regions)
        for region in np.argsort(-sizes, kind="stable")[:_NAMED]:
            rows, columns = boxes[region]
            inside = regions[rows, columns] == region + 1
            if min(inside.shape) < 2 * _CLEARANCE:
                continue
            depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            middle = place[1].start + columns.start + int(x), place[0].start + rows.start + int(y)
            yield float(depth.max()), middle, number


def _with_legend(image: Image.Image, found: Sequence[Share], classnames: Sequence[str]) -> Image.Image:
    font = _font(_LEGEND)
    names = ["no region" if entry.number < 0 else _short(classnames[entry.number]) for entry in found]
    fits = max(1, (image.height - 2 * _MARGIN) // _LINE)
    shown = len(found) if len(found) <= fits else fits - 1
    rest = f"and {len(found) - shown} more" if shown < len(found) else ""
    longest = max(font.getlength(name) for name in [*names[:shown], rest])
    left, indent = image.width + _MARGIN, _SWATCH + 10
    width = round(left + indent + longest + 24 + font.getlength("100 %") + _MARGIN)
    canvas = Image.new("RGB", (width, max(image.height, 2 * _MARGIN + _LINE)), _PAPER)
    canvas.paste(image, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for row, (entry, name) in enumerate(zip(found[:shown], names[:shown], strict=True)):
        top = _MARGIN + row * _LINE
        box, middle = (left, top, left + _SWATCH, top + _SWATCH), top + _SWATCH / 2
        draw.rounded_rectangle(box, radius=4, fill=colour(entry.number))
        draw.text((left + indent, middle), name, fill=_INK, font=font, anchor="lm")
        percent = "< 1 %" if entry.share < 0.005 else f"{100 * entry.share:.0f} %"
        draw.text((width - _MARGIN, middle), percent, fill=_SOFT, font=font, anchor="rm")
    if rest:
        place = (left + indent, _MARGIN + shown * _LINE + _SWATCH / 2)
        draw.text(place, rest, fill=_SOFT, font=font, anchor="lm")
    return canvas


def _short(entry: str) -> str:
    name = entry.split(",")[0].strip()
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
