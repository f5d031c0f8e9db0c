"""Random resized crops and flips: a pure function of (seed, epoch, key).

An image is cropped the same way in any batch, worker or process, so that an interrupted run continues exactly and
the number of workers changes nothing.
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
Range = tuple[float, float]
Draw = Sequence[float]
"""A row of `draws`."""


def draws(seed: int, epoch: int, keys: Tensor) -> Tensor:
    """The random numbers, in [0, 1), that augment the images with `keys`, (N,) int64, in one epoch, counted from 0.

    Returns:
        (N, 23): area, ratio, left, top and flip, then area and ratio of each further attempt at a crop.
    """
    return uniform(seed, keys, f"augment {epoch}", 5 + 2 * (CROP_ATTEMPTS - 1))


@final
@dataclass(frozen=True)
class Augmentation:
    """A random crop of an RGB or RGBA image, resized to a square of side `size` in pixels, and a random flip.

    `crop_scale` is the range of the crop's area, as a fraction of the image's; None disables cropping.

    Raises:
        ConfigError: `crop_scale` is no range in (0, 1].
    """

    size: int
    crop_scale: Range | None = CROP_SCALE
    flip: bool = True

    def __post_init__(self) -> None:
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ConfigError(f"crop_scale must be (low, high), 0 < low <= high <= 1, got {self.crop_scale}.")

    def __call__(self, image: Image.Image, draw: Draw) -> Image.Image:
        """Augments one image."""
        if self.crop_scale is not None:
            box = crop_box(image.width, image.height, draw, scale=self.crop_scale)
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.flip and draw[4] < 0.5 else image


def crop_box(
    width: int, height: int, draw: Draw, *, scale: Range = CROP_SCALE, ratio: Range = CROP_RATIO
) -> tuple[float, float, float, float]:
    """The box of a random crop: left, top, right, bottom, in pixels, as in torchvision's RandomResizedCrop.

    Area is uniform in `scale`, as a fraction of the image's, and the logarithm of the aspect (width over height) is
    uniform in `ratio`. A crop that is wider or higher than the image, in whole pixels, is drawn again, up to ten
    times; after that the largest central crop is taken. A `draw` of five numbers holds a single attempt.

    Source: torchvision 0.29, `RandomResizedCrop.get_params`. Two differences keep the area in `scale` exactly:

    - The box is not rounded to whole pixels.
    - A central crop outside `scale` is enlarged along the longer side, or shrunk. In torchvision a panorama of 4:1
      keeps a third of its area for any `scale`.
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
