"""Arithmetic on images as arrays (H, W, channels), float64, for the corruptions.

It needs only numpy and Pillow: blurs are products in the frequency domain, on images continued by reflection.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]


def unit_of(image: Array) -> float:
    """The short side in multiples of 224 pixels, the factor of all lengths."""
    short_side: int = min(image.shape[:2])
    return short_side / 224


def resized(image: Array, height: int, width: int, how: Image.Resampling = Image.Resampling.BOX) -> Array:
    """(H, W, C) -> (height, width, C)."""
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize((width, height), how))
        for channel in np.moveaxis(image, 2, 0)
    ]
    return np.stack(channels, axis=2).astype(np.float64)


def grains(image: Array) -> Array:
    """The image at the size at which noise is drawn: its own, but at most 224 pixels along the short side."""
    unit = unit_of(image)
    height, width, _ = image.shape
    return image if unit <= 1 else resized(image, round(height / unit), round(width / unit))


def enlarged(image: Array, like: Array) -> Array:
    """Repeats pixels until the image has the height and width of another."""
    if image.shape[:2] == like.shape[:2]:
        return image
    return resized(image, like.shape[0], like.shape[1], Image.Resampling.NEAREST)


def filtered(image: Array, kernel: Array) -> Array:
    """Correlates every channel with a kernel of odd sides, normalised to sum to 1; edges are reflected."""
    height, width, _ = image.shape
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(image, ((up, up), (left, left), (0, 0)), mode="symmetric")
    shape = padded.shape[:2]
    spectrum = np.conj(np.fft.rfft2(kernel / kernel.sum(), shape))[:, :, None]
    product = np.fft.rfft2(padded, axes=(0, 1)) * spectrum
    return np.fft.irfft2(product, shape, axes=(0, 1))[:height, :width]


def blurred(image: Array, softness: float) -> Array:
    """A Gaussian blur whose standard deviation is `softness` pixels, cut off at four of them."""
    reach = max(1, int(4 * softness + 0.5))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(softness, 1e-6)) ** 2)
    return filtered(image, np.outer(bell, bell))


def streaked(image: Array, radius: float, softness: float, *, angle: float) -> Array:
    """Motion blur: each pixel is averaged with those up to 2 radius away on one side, in a direction in degrees.

    Weights fall as a half Gaussian of standard deviation `softness` pixels, as in ImageMagick.
    """
    length = max(1, int(2 * radius + 1))
    steps = np.arange(length)
    rows = np.rint(steps * np.sin(np.deg2rad(angle))).astype(int)
    columns = np.rint(steps * np.cos(np.deg2rad(angle))).astype(int)
    kernel = np.zeros((2 * length + 1, 2 * length + 1))
    np.add.at(kernel, (length + rows, length + columns), np.exp(-0.5 * (steps / softness) ** 2))
    return filtered(image, kernel)


def zoomed(image: Array, zoom: float) -> Array:
    """The middle 1 / zoom of the image, at the image's size."""
    height, width, _ = image.shape
    rows = (np.arange(height) - (height - 1) / 2) / zoom + (height - 1) / 2
    columns = (np.arange(width) - (width - 1) / 2) / zoom + (width - 1) / 2
    return moved(image, *np.meshgrid(rows, columns, indexing="ij"))


def moved(image: Array, rows: Array, columns: Array) -> Array:
    """Samples the image bilinearly at the given places; (H, W, C), (H, W), (H, W) -> (H, W, C)."""
    height, width, _ = image.shape
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top, left = rows.astype(int), columns.astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[:, :, None], (columns - left)[:, :, None]
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    mixed: Array = upper * (1 - down) + lower * down
    return mixed


def plasma(image: Array, decay: float, random: np.random.RandomState) -> Array:
    """Clouds of the image's size in [0, 1], (H, W): noise at every scale, each finer one `decay` times weaker."""
    height, width, _ = image.shape
    clouds: Array = np.zeros((height, width))
    weight, knots = 1.0, 2
    while knots < 256:
        noise = random.uniform(-1, 1, (knots, knots, 1))
        clouds += weight * resized(noise, height, width, Image.Resampling.BICUBIC)[:, :, 0]
        weight, knots = weight / decay, knots * 2
    lowest, highest = float(clouds.min()), float(clouds.max())
    return (clouds - lowest) / max(highest - lowest, 1e-12)
