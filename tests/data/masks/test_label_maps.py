"""Label values come out of a file as they went in, or the file is refused."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radapter.data.images.sequences import ColumnImages, FileImages
from radapter.data.masks.label_maps import ArrayMaps, EncodedMaps, decode_label_map
from radapter.errors import ImageError

VALUES = np.arange(12, dtype=np.uint8).reshape(3, 4)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return decode_label_map(content, where="a mask").values


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF", "PPM"])
def test_8_bit_greys_are_their_values(kind):
    assert (decoded(encoded(Image.fromarray(VALUES), kind)) == VALUES).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@given(st.integers(0, 65535))
def test_16_bit_greys_are_their_values(kind, value):
    image = Image.fromarray(np.full((2, 3), value, np.uint16))
    assert (decoded(encoded(image, kind)) == value).all()


def test_a_palette_gives_indices_whatever_its_colours():
    image = Image.fromarray(VALUES, "L").convert("P")
    image.putpalette([255 - number % 256 for number in range(768)])
    image.paste(7, (0, 0, 1, 1))
    found = decoded(encoded(image, "PNG"))
    assert found[0, 0] == 7
    assert (found.flatten()[1:] == VALUES.flatten()[1:]).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_palette_of_few_bits_gives_indices(bits):
    values = VALUES % 2**bits
    image = Image.fromarray(values)
    image = image.convert("P")
    image.putpalette([9, 9, 9] * 256)
    image.putdata(values.flatten().tolist())
    assert (decoded(encoded(image, "PNG", bits=bits)) == values).all()


@pytest.mark.parametrize(("bits", "values"), [(1, [0, 1, 1, 0]), (2, [0, 1, 2, 3]), (4, [0, 1, 7, 15])])
def test_narrow_greys_are_not_spread_over_8_bits(bits, values):
    assert decoded(narrow_png(bits, values)).tolist() == [values]


def test_equal_colour_channels_are_one_grey():
    assert (decoded(encoded(Image.merge("RGB", [Image.fromarray(VALUES)] * 3), "PNG")) == VALUES).all()


def test_the_orientation_of_the_file_is_reported():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_label_map(encoded(Image.fromarray(VALUES), "PNG", exif=exif), where="a").orientation == 6
    assert decode_label_map(encoded(Image.fromarray(VALUES), "PNG"), where="a").orientation == 1


@pytest.mark.parametrize(
    ("image", "kind", "said"),
    [
        (Image.fromarray(VALUES), "JPEG", "is JPEG"),
        (Image.new("RGB", (2, 2), (1, 2, 3)), "PNG", "mode RGB"),
        (Image.new("RGBA", (2, 2), (1, 1, 1, 0)), "PNG", "mode RGBA"),
        (Image.new("F", (2, 2), 1.5), "TIFF", "mode F"),
        (Image.fromarray(np.full((2, 2), -1, np.int32)), "TIFF", r"spans \[-1, -1\]"),
        (Image.fromarray(np.full((2, 2), 65536, np.int32)), "TIFF", r"\[0, 65535\]"),
    ],
)
def test_what_has_lost_its_numbers_is_refused(image, kind, said):
    with pytest.raises(ImageError, match=said):
        decoded(encoded(image, kind))


@given(st.binary(max_size=60))
def test_any_other_bytes_are_an_image_error(content):
    with pytest.raises(ImageError, match="'a mask'"):
        decoded(content)


def test_a_cut_off_file_is_an_image_error():
    content = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)), "PNG")
    with pytest.raises(ImageError, match="whole file"):
        decoded(content[: len(content) // 2])


def test_a_map_above_the_limit_is_refused_from_its_header():
    with pytest.raises(ImageError, match=r"at most 11 pixels.*4 x 3"):
        decode_label_map(encoded(Image.fromarray(VALUES), "PNG"), where="a", max_pixels=11)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_small_file_that_unfolds_into_gigabytes_is_refused(side):
    with pytest.raises(ImageError, match="at most 50000000 pixels"):
        decode_label_map(narrow_png(1, [0], size=(side, side)), where="a")


def test_holders_of_files_columns_and_arrays_give_the_same_map(tmp_path):
    content = encoded(Image.fromarray(VALUES), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    files = EncodedMaps(FileImages([tmp_path / "a.png"]))
    rows = [{"mask": {"bytes": content}}]
    column = EncodedMaps(ColumnImages(rows, "mask", name="table", folder=tmp_path))
    arrays = ArrayMaps(torch.from_numpy(VALUES)[None], name="memory")
    for maps in (files, column, arrays):
        assert len(maps) == 1
        assert (maps.stored(0).values == VALUES).all()
    assert (column.where(0), arrays.where(0)) == ("table row 0", "memory 0")


def test_a_missing_file_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match="file must be readable"):
        EncodedMaps(FileImages([tmp_path / "none.png"])).stored(0)


@pytest.mark.parametrize(
    "values", [torch.zeros(1, 2, 2), torch.zeros(2, 2, dtype=torch.uint8), torch.full((1, 2, 2), -1)]
)
def test_an_array_of_something_else_is_refused(values):
    with pytest.raises(ValueError, match="values must"):
        ArrayMaps(values, name="memory")


def narrow_png(bits: int, values: list[int], size: tuple[int, int] | None = None) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, which Pillow does not write; `size` may lie about it."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = 0
    for value in values:
        packed = packed << bits | value
    width = -(-len(values) * bits // 8)
    row = (packed << (8 * width - len(values) * bits)).to_bytes(width, "big")
    header = struct.pack(">IIBBBBB", *(size or (len(values), 1)), bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
