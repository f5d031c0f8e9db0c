"""From a file's bytes to an RGB image, whatever the file is, with a bound on what may be decoded.

The size is read from the header first, so that a small file that unfolds into gigabytes is refused before any
memory is spent. Then everything a camera or a painting program may have done is undone: EXIF orientation, CMYK,
palettes, 16-bit greys, transparency (laid on a stated colour).
"""

import functools
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from radapter.data.pictures.pixel_budget import DECODING
from radapter.errors import ConfigError, ImageError
from radapter.given_files import IMAGE_FILE, open_regular

MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255)
# Raster formats only: Pillow hands EPS and PS to Ghostscript, which runs programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
    }
    | {".jp2", ".avif"}
)

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
    source: bytes | str | os.PathLike[str],
    *,
    where: str,
    max_pixels: int = MAX_PIXELS,
    background: tuple[int, int, int] = WHITE,
) -> Image.Image:
    """Decodes the first frame of an image file.

    Args:
        source: the file's bytes, or its path.
        where: what a message calls this image: its path, or its file and row.
        max_pixels: an image with more, by its header, is refused undecoded.
        background: RGB in [0, 255]; transparent pixels show it.

    Returns:
        An image of mode RGB, upright.

    Raises:
        ImageError: the file is missing, no known raster format, truncated, corrupt or too large.
    """
    with _loaded(source, where=where, max_pixels=max_pixels) as image:
        rgb = _rgb(image, where=where, background=background)
        turn = _TURNS.get(_orientation(image))
        upright = rgb if turn is None else rgb.transpose(turn)
    upright.info = {}  # else what is done is done again by whoever reads the EXIF orientation next
    return upright


def decode_cutout(content: bytes, *, where: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decodes a picture whose alpha channel is a mask; what is transparent keeps its colours.

    Args:
        content: the file's bytes.
        where: what a message calls this image.
        max_pixels: an image with more, by its header, is refused undecoded.

    Returns:
        An image of mode RGBA.

    Raises:
        ImageError: as `decode`, or the image has no alpha channel.
    """
    with _loaded(content, where=where, max_pixels=max_pixels) as image:
        if image.mode != "RGBA":
            raise ImageError(
                f"image must be RGBA, its alpha the mask. '{where}' is {image.mode}. Write it again."
            )
        return image.copy()


def file_format(content: bytes) -> str:
    """The name of an image file's format by its header, among FORMATS; "unknown" where it is none of them."""
    try:
        with opened(content) as image:
            return image.format or "unknown"
    except Exception:  # a header may be anything at all
        return "unknown"


def orientation(content: bytes) -> int:
    """EXIF's orientation of an image file, 1 (upright as stored) to 8; 1 where it has none or is no image."""
    try:
        with opened(content) as image:
            told = _orientation(image)
    except Exception:  # a header may be anything at all
        return 1
    return told if isinstance(told, int) and told in _TURNS else 1


def check_max_pixels(max_pixels: int) -> int:
    """Returns `max_pixels` if Pillow can honour it.

    Raises:
        ConfigError: it is below 1 or above Pillow's own limit.
    """
    ceiling = Image.MAX_IMAGE_PIXELS
    if max_pixels < 1 or (ceiling is not None and max_pixels > ceiling):
        raise ConfigError(
            f"max_pixels must be in [1, {ceiling}], Pillow's own limit. Got {max_pixels}. For larger images "
            "set PIL.Image.MAX_IMAGE_PIXELS, or shrink them once beforehand."
        )
    return max_pixels


def is_image_file(path: Path) -> bool:
    """Whether a file's name says that it is an image; hidden files (`._cat.jpg`) are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow reads: AVIF and JPEG 2000 are optional."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def opened(source: bytes | str | os.PathLike[str]) -> Iterator[Image.Image]:
    """An image file, its bytes or its path, of which only the header is read; raises anything that Pillow raises."""
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open_regular(source, limit=IMAGE_FILE) as file,
        Image.open(_with_few_comments(file), formats=_formats()) as image,
    ):
        yield image


def _with_few_comments(file: BinaryIO) -> BinaryIO:
    """The file; raises ValueError where it is a netpbm file on whose comments Pillow would spend minutes."""
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
            raise ValueError(
                f"a netpbm file must have at most {_NETPBM_COMMENTS:,} comments, and has {comments:,}"
            )
    file.seek(0)
    return file


@contextmanager
def _loaded(source: bytes | str | os.PathLike[str], *, where: str, max_pixels: int) -> Iterator[Image.Image]:
    """A file's first frame, loaded; whatever goes wrong while the block runs is an ImageError."""
    try:
        with opened(source) as image:
            check_size(image.size, where=where, max_pixels=max_pixels)
            with DECODING.held(image.width * image.height):
                image.load()
                yield image
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError as error:
        hint = " Write paths with '/', not with '\\'." if "\\" in where else ""
        raise ImageError(f"image file must exist. '{where}' does not.{hint}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"image must have at most {max_pixels} pixels. '{where}': {error}") from error
    except Exception as error:  # decoders raise anything at all on corrupt bytes
        raise ImageError(
            f"image must be a whole file of a known format ({', '.join(FORMATS)}). '{where}': "
            f"{type(error).__name__}: {error}. Replace or remove it."
        ) from error


def check_size(size: tuple[int, int], *, where: str, max_pixels: int) -> None:
    """Raises ImageError where an image of (width, height) has more than `max_pixels`."""
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"image must have at most {max_pixels} pixels. '{where}' has {width} x {height} = {width * height}. "
            "Shrink it, or raise max_pixels."
        )


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a camera's broken notes do not make its picture unreadable
        return None


def _rgb(image: Image.Image, *, where: str, background: tuple[int, int, int]) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey(np.asarray(image), where=where)
    if image.mode == "F":
        raise ImageError(
            f"image must have integer pixels. '{where}' has floats, whose range no file states. Save it as 8 bit."
        )
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _grey(values: npt.NDArray[Any], *, where: str) -> Image.Image:
    # Pillow's own conversion clips 16-bit values at 255: nearly every picture would come out white.
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(
            f"greys must be of 16 bits, [0, 65535]. '{where}' spans [{low}, {high}]. Save it as 8 bit."
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
