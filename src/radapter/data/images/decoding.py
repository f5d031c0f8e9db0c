"""Decodes any image file to RGB, with a bound on its size.

The size is read from the header first, so that a small file that unfolds into gigabytes is refused before any memory
is spent. Then what cameras and painting programs do is undone: EXIF orientation, CMYK, palettes, 16-bit greys and
transparency (laid on a given colour).
"""

import functools
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from radapter.data.images.pixel_budget import DECODING
from radapter.errors import ConfigError, ImageError
from radapter.given_files import IMAGE_FILE, open_regular

MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255)
File = bytes | str | os.PathLike[str]
"""The bytes of a file, or its path."""
# Raster formats only: Pillow hands EPS and PS to Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".avif"),
}

# Blocks above glibc's largest mmap threshold, 32 MiB, go back to the system when they are freed. Pillow's default of
# 16 MiB leaves them in the heap of every thread. With 64 MiB, 12 images of 49 megapixels need 2.4 GB instead of 4.6.
if "PILLOW_BLOCK_SIZE" not in os.environ:
    Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]

_NETPBM_HEADER = 2**14  # bytes, comments among them
_NETPBM_COMMENTS = 1000
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(
    source: File, *, where: str, max_pixels: int = MAX_PIXELS, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """Decodes the first frame of an image file to an upright image of mode RGB.

    `where` is its name in messages: a path, or a file and row. An image with more than `max_pixels`, by its header,
    is refused before decoding. Transparent pixels show `background`, RGB in [0, 255].

    Raises:
        ImageError: The file is missing, of an unknown format, truncated, corrupt or too large.
    """
    with readable(source, where=where, max_pixels=max_pixels) as image, loaded(image):
        return _upright(image, where=where, background=background)


def upright_rgb(
    image: Image.Image, *, where: str, max_pixels: int = MAX_PIXELS, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """Converts an image of Pillow, which may not be loaded yet, as `decode` converts that of a file.

    Raises:
        ImageError: As `decode`.
    """
    with _named(where=where, max_pixels=max_pixels, what="image", formats=FORMATS):
        _check_size(image, where=where, max_pixels=max_pixels, what="image")
        with loaded(image):
            return _upright(image, where=where, background=background)


def decode_cutout(content: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes an image whose alpha channel is a mask to mode RGBA; transparent pixels keep their colours.

    Raises:
        ImageError: As `decode`, or the image has no alpha channel.
    """
    with readable(content, where=where, max_pixels=max_pixels) as image, loaded(image):
        if image.mode != "RGBA":
            raise ImageError(f"image must be RGBA with a mask. '{where}' is {image.mode}. Write it again.")
        return image.copy()


def file_format(content: bytes) -> str:
    """The format of an image file by its header, one of FORMATS, or "unknown"."""
    try:
        with opened(content) as image:
            return image.format or "unknown"
    except Exception:  # a header may be anything at all
        return "unknown"


def orientation(content: bytes) -> int:
    """The EXIF orientation of an image file, 1 (upright as stored) to 8; 1 if it has none or is no image."""
    try:
        with opened(content) as image:
            found = _orientation(image)
    except Exception:  # a header may be anything at all
        return 1
    return found if isinstance(found, int) and found in _TURNS else 1


def check_max_pixels(max_pixels: int) -> None:
    """Raises ConfigError if `max_pixels` is below 1 or above Pillow's own limit."""
    ceiling = Image.MAX_IMAGE_PIXELS
    if max_pixels < 1 or (ceiling is not None and max_pixels > ceiling):
        raise ConfigError(
            f"max_pixels must be in [1, {ceiling}], Pillow's own limit, got {max_pixels}. For larger images set "
            "PIL.Image.MAX_IMAGE_PIXELS, or shrink them beforehand."
        )


def is_image_file(path: Path) -> bool:
    """Whether a file has the suffix of an image; hidden files (`._cat.jpg`) do not count."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@functools.cache
def _formats() -> tuple[str, ...]:
    """The formats that this build of Pillow reads: AVIF and JPEG 2000 are optional."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def opened(source: File) -> Iterator[Image.Image]:
    """Opens an image file and reads only the header; raises anything that Pillow raises."""
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open_regular(source, limit=IMAGE_FILE) as file,
        Image.open(_with_few_comments(file), formats=_formats()) as image,
    ):
        yield image


def _with_few_comments(file: BinaryIO) -> BinaryIO:
    """The file; raises ValueError for a netpbm file with comments that would take Pillow minutes."""
    start = file.read(_NETPBM_HEADER)
    if re.match(rb"P[0-9fFy]", start) and len(start) == _NETPBM_HEADER:
        # Pillow reads the header byte by byte, half a second for each megabyte of comments.
        words = re.sub(rb"#[^\r\n]*", b"", start).split(maxsplit=4)
        if len(words) < (3 if words[0] in (b"P1", b"P4") else 4):
            raise ValueError(f"the header of a netpbm file must have at most {_NETPBM_HEADER:,} bytes")
    if start[:2] in (b"P1", b"P2", b"P3"):
        # Among pixels written as text it copies a megabyte for each comment.
        comments = start.count(b"#") + sum(block.count(b"#") for block in iter(lambda: file.read(2**20), b""))
        if comments > _NETPBM_COMMENTS:
            raise ValueError(f"a file must have at most {_NETPBM_COMMENTS:,} comments, and has {comments:,}")
    file.seek(0)
    return file


@contextmanager
def readable(
    source: File, *, where: str, max_pixels: int, what: str = "image", formats: Sequence[str] = FORMATS
) -> Iterator[Image.Image]:
    """Opens a file of at most `max_pixels`; any error in the block is raised as ImageError, naming `formats`."""
    with _named(where=where, max_pixels=max_pixels, what=what, formats=formats), opened(source) as image:
        _check_size(image, where=where, max_pixels=max_pixels, what=what)
        yield image


def _check_size(image: Image.Image, *, where: str, max_pixels: int, what: str) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{what} must have at most {max_pixels} pixels. '{where}' has {width} x {height} = "
            f"{width * height}. Shrink it, or raise max_pixels."
        )


@contextmanager
def _named(*, where: str, max_pixels: int, what: str, formats: Sequence[str]) -> Iterator[None]:
    """Raises any error of the block as ImageError."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError as error:
        hint = " Write paths with '/', not with '\\'." if "\\" in where else ""
        raise ImageError(f"{what} file must exist. '{where}' does not.{hint}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{what} must have at most {max_pixels} pixels. '{where}': {error}") from error
    except Exception as error:  # decoders raise anything at all on corrupt bytes
        raise ImageError(
            f"{what} must be a whole file of a known format ({', '.join(formats)}). '{where}': "
            f"{type(error).__name__}: {error}. Replace or remove it."
        ) from error


@contextmanager
def loaded(image: Image.Image) -> Iterator[None]:
    """Decodes an open image, and counts its pixels against the budget of this process while the block runs."""
    with DECODING.held(image.width * image.height):
        image.load()
        yield


def _upright(image: Image.Image, *, where: str, background: tuple[int, int, int]) -> Image.Image:
    rgb = _rgb(image, where=where, background=background)
    turn = _TURNS.get(_orientation(image))
    upright = rgb if turn is None else rgb.transpose(turn)
    upright.info = {}  # otherwise the next reader would apply the EXIF orientation again
    return upright


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a camera's broken notes do not make its image unreadable
        return None


def _rgb(image: Image.Image, *, where: str, background: tuple[int, int, int]) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey(np.asarray(image), where=where)
    if image.mode == "F":
        raise ImageError(f"image must have integer pixels. '{where}' has floats. Save it as 8 bit.")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _grey(values: npt.NDArray[Any], *, where: str) -> Image.Image:
    # Pillow's own conversion clips 16-bit values at 255: nearly every image would come out white.
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(f"greys must have 16 bits. '{where}' spans [{low}, {high}]. Save it as 8 bit.")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
