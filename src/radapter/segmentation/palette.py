"""Class colours that people with any colour vision can tell apart, as far as their number allows.

The first seven are Okabe and Ito's (2008), the next nine Paul Tol's "muted" (2021). Further ones go round the hues
in steps of the golden ratio, in three lightnesses. No palette is safe beyond sixteen colours: names on the regions
tell the classes apart.
"""

import colorsys

Rgb = tuple[int, int, int]

_SAFE: tuple[Rgb, ...] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167), (240, 228, 66), (0, 114, 178),
    (136, 34, 85), (17, 119, 51), (51, 34, 136), (221, 204, 119), (136, 204, 238), (204, 102, 119), (68, 170, 153),
    (170, 68, 153), (153, 153, 51),
)  # fmt: skip
_GOLDEN = 0.618034
_LIGHTNESS = (0.45, 0.65, 0.3)

UNLABELLED: Rgb = (128, 128, 128)


def colour(number: int) -> Rgb:
    """The colour of class `number`, from 0."""
    if number < len(_SAFE):
        return _SAFE[number]
    step = number - len(_SAFE)
    lightness = _LIGHTNESS[step % len(_LIGHTNESS)]
    red, green, blue = colorsys.hls_to_rgb(step * _GOLDEN % 1, lightness, 0.65)
    return round(255 * red), round(255 * green), round(255 * blue)
