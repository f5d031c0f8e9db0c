"""The 15 corruptions of ImageNet-C for images of any size, applied when an image is read.

Source: Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations",
ICLR 2019, and `imagenet_c/corruptions.py` of hendrycks/robustness, 8190fe3. Severities and constants are those of
that code, except in elastic_transform. Published numbers use ImageNet-C's own files: these corruptions are similar,
not identical. The differences are:

| corruption | released code | here |
|---|---|---|
| all | images of 224 pixels; global NumPy random numbers | any size; random numbers from the image's content |
| all | results are truncated to whole levels | results are rounded |
| defocus_blur | a disk of whole pixels, blurred by 3 or 5 pixels | a blur, then a disk whose rim counts in part |
| glass_blur | neighbours are swapped one by one | every pixel is read from a nearby place |
| motion_blur, snow | ImageMagick's motion blur | a half Gaussian along the direction |
| zoom_blur, snow | zooms a square crop of whole pixels | zooms around the centre, between pixels |
| snow | the layer of flakes has 256 levels | the layer is not rounded |
| frost | photographs of frost | needles and a film, drawn |
| fog | diamond-square noise | bicubic noise of the same decay |
| elastic_transform | a random affine map, then a displacement | a displacement with constants of our own |

The constants are for images of 224 pixels. Lengths are multiplied by unit = short side / 224, and the grains of
noise are unit pixels wide if unit is above 1, so that a severity looks alike at any size. Random numbers depend only
on the image's content, the seed and the type, so that two severities differ only in their constants. In this file an
image x is (H, W, 3), float64, in [0, 1].
"""

import io
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from radapter.data.images import arrays
from radapter.data.images.arrays import Array, blurred, enlarged, filtered, grains, moved, streaked, unit_of
from radapter.data.images.sequences import ChangedImages, Images
from radapter.errors import ConfigError, did_you_mean

Random = np.random.RandomState  # its streams are frozen for good; those of Generator may change with numpy

MIXED = "mixed"
"""The type that draws one of the 15 for each image, by its content."""
_KEYS = ("type", "severity", "seed")
_LUMA = np.array((0.299, 0.587, 0.114))  # ITU-R BT.601, as cv2.COLOR_RGB2GRAY


def corrupted(image: Image.Image, *, key: int, type: str, severity: int, seed: int = 0) -> Image.Image:
    """Corrupts one RGB image of any size; equal `key` (content hash) and `seed` draw equal random numbers.

    Raises:
        ConfigError: `type` is neither MIXED nor one of CORRUPTIONS, or `severity` is not in 1 to 5.
    """
    check_corruption({"type": type, "severity": severity, "seed": seed})
    if type == MIXED:
        type = list(CORRUPTIONS)[_random(key, seed, MIXED).randint(len(CORRUPTIONS))]
    return _as_image(CORRUPTIONS[type](_as_array(image), severity - 1, _random(key, seed, type)))


def corrupted_images(
    images: Images, rows: Tensor, keys: Tensor, *, type: str, severity: int, seed: int = 0
) -> ChangedImages:
    """The images at `rows`, (N,) int64, of a source, corrupted by `corrupted` when read; `keys` are their hashes."""
    key_of_row = dict(zip(rows.tolist(), keys.tolist(), strict=True))
    return ChangedImages(
        images,
        lambda image, row: corrupted(image, key=key_of_row[row], type=type, severity=severity, seed=seed),
    )


def greyed(images: Images) -> ChangedImages:
    """Images without colour: the luma of each pixel (ITU-R BT.601) in all three channels."""
    return ChangedImages(images, lambda image, _: image.convert("L").convert("RGB"))


def check_corruption(spec: Mapping[str, object]) -> None:
    """Raises ConfigError unless `spec` is {type: a name, severity: 1 to 5, seed: >= 0}; seed may be left out."""
    for key in spec:
        if key not in _KEYS:
            raise ConfigError(
                f"corrupt takes type, severity, seed. Got {key!r}.{did_you_mean(str(key), _KEYS)}"
            )
    type_, severity, seed = spec.get("type"), spec.get("severity"), spec.get("seed", 0)
    known = (*CORRUPTIONS, MIXED)
    if not isinstance(type_, str) or type_ not in known:
        raise ConfigError(
            f"type of corrupt must be one of {', '.join(known)}. Got {type_!r}.{did_you_mean(str(type_), known)}"
        )
    for name, value, low, high in (("severity", severity, 1, 5), ("seed", seed, 0, 2**32 - 1)):
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{name} of corrupt must be a whole number in [{low}, {high}]. Got {value!r}.")


def _random(key: int, seed: int, what: str) -> Random:
    return Random([key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF, seed, zlib.crc32(what.encode())])


def _gaussian_noise(x: Array, level: int, random: Random) -> Array:
    scale = (0.08, 0.12, 0.18, 0.26, 0.38)[level]
    return x + enlarged(scale * random.standard_normal(grains(x).shape), x)


def _shot_noise(x: Array, level: int, random: Random) -> Array:
    photons = (60, 25, 12, 5, 3)[level]
    clean = grains(x)
    return x + enlarged(random.poisson(clean * photons) / photons - clean, x)


def _impulse_noise(x: Array, level: int, random: Random) -> Array:
    amount = (0.03, 0.06, 0.09, 0.17, 0.27)[level]
    hit = enlarged(random.random_sample(grains(x).shape), x)
    salt = enlarged(random.random_sample(grains(x).shape), x) < 0.5
    return np.where(hit < amount, salt, x)


def _defocus_blur(x: Array, level: int, random: Random) -> Array:
    large, soft = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[level]
    radius, softness = large * unit_of(x), soft * unit_of(x)
    across = np.arange(-np.ceil(radius + 0.5), np.ceil(radius + 0.5) + 1)
    # Pixels of the rim count in part: otherwise a radius below 1 blurs nothing.
    disk = np.clip(radius + 0.5 - np.hypot(across, across[:, None]), 0, 1)
    return filtered(blurred(x, softness), disk)


def _glass_blur(x: Array, level: int, random: Random) -> Array:
    """Takes every pixel from a nearby place, several times."""
    softness, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[level]
    unit, rows, columns = unit_of(x), *np.indices(x.shape[:2], dtype=np.float64)
    x = blurred(x, softness * unit)
    for _ in range(times):
        x = moved(x, *(random.uniform(-reach, reach, (2, *x.shape[:2])) * unit + (rows, columns)))
    return blurred(x, softness * unit)


def _motion_blur(x: Array, level: int, random: Random) -> Array:
    radius, softness = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[level]
    return streaked(x, radius * unit_of(x), softness * unit_of(x), angle=random.uniform(-45, 45))


def _zoom_blur(x: Array, level: int, random: Random) -> Array:
    # The released code's own call of arange: the rounding of its end decides how many zooms there are.
    stop, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[level]
    mean: Array = np.mean([x, *(arrays.zoomed(x, zoom) for zoom in np.arange(1, stop, step))], axis=0)
    return mean


def _snow(x: Array, level: int, random: Random) -> Array:
    mean, spread, zoom, floor, radius, softness, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[level]
    flakes = enlarged(random.normal(mean, spread, (*grains(x).shape[:2], 1)), x)
    flakes = np.clip(arrays.zoomed(flakes, zoom), 0, 1)
    flakes[flakes < floor] = 0
    layer = streaked(flakes, radius * unit_of(x), softness * unit_of(x), angle=random.uniform(-135, -45))
    paler: Array = np.maximum(x, (x @ _LUMA)[:, :, None] * 1.5 + 0.5)
    return kept * x + (1 - kept) * paler + layer + layer[::-1, ::-1]


def _frost(x: Array, level: int, random: Random) -> Array:
    """Needles of ice over a pale film."""
    kept, ice = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[level]
    height, width, _ = x.shape
    canvas = Image.new("L", (width, height))
    drawing = ImageDraw.Draw(canvas)
    for _ in range(160):
        column, row, angle, bright = random.random_sample(4)
        length = random.uniform(15, 60) * unit_of(x)
        thickness = max(1, round(random.uniform(0.5, 2) * unit_of(x)))
        for turn in (-0.5, 0.0, 0.5):  # a needle and its two branches
            direction = 2 * np.pi * angle + turn
            begin = (column * width, row * height)
            end = (begin[0] + length * np.cos(direction), begin[1] + length * np.sin(direction))
            drawing.line([begin, end], fill=int(90 + 165 * bright), width=thickness)
            length /= 2
    needles = blurred(np.asarray(canvas, dtype=np.float64)[:, :, None] / 255, 0.7 * unit_of(x))
    film = arrays.plasma(x, 1.7, random)[:, :, None]
    tint = np.array((0.86, 0.95, 1.0))
    frost: Array = np.clip(0.55 * film + 0.6 * needles, 0, 1) * tint
    return kept * x + ice * frost


def _fog(x: Array, level: int, random: Random) -> Array:
    thickness, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[level]
    brightest: float = x.max()
    return (x + thickness * arrays.plasma(x, decay, random)[:, :, None]) * brightest / (brightest + thickness)


def _brightness(x: Array, level: int, random: Random) -> Array:
    """Adds to V of HSV: all three channels grow by one factor, up to 1."""
    value: Array = x.max(2, keepdims=True)
    brighter: Array = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[level], 1)
    return np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter)


def _contrast(x: Array, level: int, random: Random) -> Array:
    mean: Array = x.mean((0, 1), keepdims=True)
    return (x - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean


def _elastic_transform(x: Array, level: int, random: Random) -> Array:
    """A smooth random displacement with our own constants: with the released ones, severity 3 moves pixels least.

    Its root mean square is `strength` pixels; its waves are about 6 pixels long.
    """
    strength, unit = (1.5, 2.5, 3.5, 5.0, 7.0)[level], unit_of(x)
    field = blurred(random.uniform(-1, 1, (*x.shape[:2], 2)), 6.0 * unit)
    field *= strength * unit / np.sqrt(np.mean(field**2))
    rows, columns = np.indices(x.shape[:2], dtype=np.float64)
    return moved(x, rows + field[:, :, 0], columns + field[:, :, 1])


def _pixelate(x: Array, level: int, random: Random) -> Array:
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[level] / max(1.0, unit_of(x))
    small = arrays.resized(x, max(1, int(x.shape[0] * share)), max(1, int(x.shape[1] * share)))
    return enlarged(small, x)


def _jpeg_compression(x: Array, level: int, random: Random) -> Array:
    file = io.BytesIO()
    _as_image(x).save(file, "JPEG", quality=(25, 18, 15, 10, 7)[level])
    with Image.open(file) as image:
        return _as_array(image)


def _as_array(image: Image.Image) -> Array:
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def _as_image(x: Array) -> Image.Image:
    return Image.fromarray((np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8))


CORRUPTIONS: dict[str, Callable[[Array, int, Random], Array]] = {
    each.__name__.removeprefix("_"): each
    for each in (
        *(_gaussian_noise, _shot_noise, _impulse_noise),
        *(_defocus_blur, _glass_blur, _motion_blur, _zoom_blur),
        *(_snow, _frost, _fog, _brightness),
        *(_contrast, _elastic_transform, _pixelate, _jpeg_compression),
    )
}
"""Name -> (image, severity - 1, random numbers) -> image."""
