"""Draws a contact sheet of regions: each on a checkered background, with its noun and score below."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radapter.data.regions import MinedRegions

CARDS = 60
COLUMNS = 10

_SIDE, _GAP, _TEXT = 112, 10, 34  # pixels: of an image, between cards, of the lines below
_PAGE, _INK, _SOFT = (250, 250, 248), (29, 29, 27), (106, 106, 102)
_CHECKS = ((214, 214, 210), (236, 236, 232))  # squares of 8 pixels


def contact_sheet(regions: MinedRegions, *, cards: int = CARDS, columns: int = COLUMNS) -> Image.Image:
    """Draws `cards` regions at even distances through the set, all if there are fewer, with `columns` in a row: RGB.
    Raises ImageError if a region cannot be decoded."""
    shown = evenly(len(regions), cards)
    rows = -(-len(shown) // columns)
    width = _GAP + columns * (_SIDE + _GAP)
    page = Image.new("RGB", (width, _GAP + rows * (_SIDE + _TEXT + _GAP)), _PAGE)
    pen, font, small = ImageDraw.Draw(page), ImageFont.load_default(13), ImageFont.load_default(11)
    for place, index in enumerate(shown):
        left = _GAP + place % columns * (_SIDE + _GAP)
        top = _GAP + place // columns * (_SIDE + _TEXT + _GAP)
        page.paste(_card(regions.cutout(index)), (left, top))
        record = regions.records[index]
        pen.text((left, top + _SIDE + 2), _fitted(record["noun"], font), _INK, font)
        pen.text((left, top + _SIDE + 18), _figures(record), _SOFT, small)
    return page


def evenly(total: int, count: int) -> Sequence[int]:
    """`count` of `total` places at even distances, ascending; all if there are fewer."""
    return [place * total // min(count, total) for place in range(min(count, total))]


def _card(region: Image.Image) -> Image.Image:
    scale = _SIDE / max(region.size)
    size = (max(1, round(region.width * scale)), max(1, round(region.height * scale)))
    resized = region.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    checks = (np.indices((_SIDE, _SIDE)) // 8).sum(0) % 2
    card = Image.fromarray(np.array(_CHECKS, dtype=np.uint8)[checks])
    card.paste(resized, ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2), resized)
    return card


def _figures(record: dict[str, object]) -> str:
    if record["score"] is None:
        return "from masks"
    lead = "" if record["margin"] is None else f"  +{record['margin']:.3f}"
    return f"{record['score']:.3f}{lead}"


def _fitted(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    while text and font.getlength(text) > _SIDE:
        text = text[:-2] + "…"
    return text
