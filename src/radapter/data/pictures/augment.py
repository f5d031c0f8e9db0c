"""Random resized crops and flips that are a pure function of (seed, epoch, key).

A picture is cut the same way whatever batch, worker or process it is in, so that an interrupted run continues
exactly and the number of workers changes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from PIL import Image
from torch import Tensor

from radapter.errors import ConfigError
from radapter.hashing import uniform

CROP_SCALE = (0.9, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10


def draws(seed: int, epoch: int, keys: Tensor) -> Tensor:
    """The random numbers of every picture's augmentation in one epoch.

    Args:
        seed: the run's seed.
        epoch: counted from 0.
        keys: (N,), int64, one a picture.

    Returns:
        (N, 23), in [0, 1): area, ratio, left, top and flip, then area and ratio of each further attempt at a crop.
    """
    return uniform(seed, keys, f"augment {epoch}", 5 + 2 * (CROP_ATTEMPTS - 1))


@final
@dataclass(frozen=True)
class Augmentation:
    """What training does to a picture.

    Attributes:
        size: side of the square that a crop is stretched to, in pixels.
        crop_scale: range of a random crop's area, as a fraction of the picture's; None crops nothing.
        flip: whether every other picture is mirrored.

    Raises:
        ConfigError: `crop_scale` is no range in (0, 1].
    """

    size: int
    crop_scale: tuple[float, float] | None = CROP_SCALE
    flip: bool = True

    def __post_init__(self) -> None:
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ConfigError(
                f"crop_scale must be (low, high) with 0 < low <= high <= 1. Got {self.crop_scale}."
            )

    def __call__(self, image: Image.Image, draw: Sequence[float]) -> Image.Image:
        """The picture as a row of `draws` has it."""
        if self.crop_scale is not None:
            image = random_crop(image, draw, size=self.size, scale=self.crop_scale)
        return random_flip(image, draw) if self.flip else image


def random_crop(
    image: Image.Image,
    draw: Sequence[float],
    *,
    size: int,
    scale: tuple[float, float] = CROP_SCALE,
    ratio: tuple[float, float] = CROP_RATIO,
) -> Image.Image:
    """Cuts a random part out of an image and stretches it to a square, as torchvision's RandomResizedCrop does.

    Args:
        image: RGB or RGBA.
        draw: a row of `draws`.
        size: side of the result, in pixels.
        scale: range of the part's area, as a fraction of the image's.
        ratio: range of the part's width over height.
    """
    box = crop_box(image.width, image.height, draw, scale=scale, ratio=ratio)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def crop_box(
    width: int,
    height: int,
    draw: Sequence[float],
    *,
    scale: tuple[float, float] = CROP_SCALE,
    ratio: tuple[float, float] = CROP_RATIO,
) -> tuple[float, float, float, float]:
    """Return where a random crop lies: a pure function of the draw, distributed as torchvision's RandomResizedCrop.

    Area is uniform in `scale` and the logarithm of the aspect uniform in `ratio`. A crop that, in whole pixels, is
    wider or higher than the image is drawn again, up to ten times; then the crop is the largest central one.

    Source: torchvision 0.29, `RandomResizedCrop.get_params`. Two differences keep the area in `scale` exactly:

    - The box is not rounded to whole pixels.
    - Where the central crop leaves `scale`, it is enlarged along the longer side, or shrunk. In torchvision a
      panorama of 4:1 keeps a third of its area whatever `scale` says.

    Args:
        width, height: of the image, in pixels.
        draw: a row of `draws`. A row of five numbers holds a single attempt.
        scale, ratio: as for `random_crop`.

    Returns:
        left, top, right, bottom, in pixels.
    """
    whole, (low, high) = width * height, scale
    logs = math.log(ratio[0]), math.log(ratio[1])
    attempts = [(draw[0], draw[1]), *zip(draw[5::2], draw[6::2], strict=True)]
    for area_draw, ratio_draw in attempts:
        area = whole * (low + (high - low) * area_draw)
        aspect = math.exp(logs[0] + (logs[1] - logs[0]) * ratio_draw)
        across, down = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if 0 < round(across) <= width and 0 < round(down) <= height:
            if across > width:  # by less than half a pixel
                across, down = width, area / width
            elif down > height:
                across, down = area / height, height
            left, top = draw[2] * (width - across), draw[3] * (height - down)
            return left, top, left + across, top + down
    aspect = min(max(width / height, ratio[0]), ratio[1])
    across, down = min(width, height * aspect), min(height, width / aspect)
    area = across * down
    if area > high * whole:
        shrink = math.sqrt(high * whole / area)
        across, down = across * shrink, down * shrink
    elif area < low * whole:
        across, down = (low * width, down) if across < width else (across, low * height)
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def random_flip(image: Image.Image, draw: Sequence[float]) -> Image.Image:
    """The picture, or with probability 1/2 its mirror image; `draw` as for `random_crop`."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw[4] < 0.5 else image
