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


def draws(seed: int, epoch: int, keys: Tensor) -> Tensor:
    """The random numbers of every picture's augmentation in one epoch.

    Args:
        seed: the run's seed.
        epoch: counted from 0.
        keys: (N,), int64, one a picture.

    Returns:
        (N, 5), in [0, 1): area, ratio, left, top, flip.
    """
    return uniform(seed, keys, f"augment {epoch}", 5)


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
    """A random part of the picture, stretched to a square, as torchvision's RandomResizedCrop.

    Where the drawn part is wider or higher than the picture it is cut off there; torchvision draws again.

    Args:
        image: RGB or RGBA.
        draw: five numbers in [0, 1), a row of `draws`.
        size: side of the result, in pixels.
        scale: range of the part's area, as a fraction of the picture's.
        ratio: range of the part's width over height.
    """
    area = (scale[0] + (scale[1] - scale[0]) * draw[0]) * image.width * image.height
    aspect = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draw[1])
    width = min(math.sqrt(area * aspect), image.width)
    height = min(math.sqrt(area / aspect), image.height)
    left, top = draw[2] * (image.width - width), draw[3] * (image.height - height)
    box = (left, top, left + width, top + height)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def random_flip(image: Image.Image, draw: Sequence[float]) -> Image.Image:
    """The picture, or with probability 1/2 its mirror image; `draw` as for `random_crop`."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw[4] < 0.5 else image
