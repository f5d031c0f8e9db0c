"""Every kind of image file decodes to the image that its author saw, or is refused with its path."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from radapter.data.images.decoding import FORMATS, check_max_pixels, decode, is_image_file
from radapter.errors import ConfigError, ImageError


@pytest.fixture
def upright():
    """An image whose four corners differ, 6 wide and 4 high."""
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:2, :3], pixels[:2, 3:], pixels[2:, :3] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    return Image.fromarray(pixels)


def _pixels(image):
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def _saved(image, path, **options):
    image.save(path, **options)
    return decode(path, where=str(path))


# What a camera that was turned stores, for each value of the EXIF orientation.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", _STORED)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_exif_orientation_is_undone(tmp_path, upright, orientation, suffix):
    stored = upright if _STORED[orientation] is None else upright.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = _saved(stored, tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    assert np.array_equal(_pixels(image), _pixels(upright))


def test_orientation_is_not_left_for_the_next_reader(tmp_path, upright):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert _saved(upright, tmp_path / "a.png", exif=exif).getexif().get(0x0112) is None


def test_broken_exif_does_not_spoil_the_image(tmp_path, upright):
    image = _saved(upright, tmp_path / "a.png", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert np.array_equal(_pixels(image), _pixels(upright))


def test_cmyk_jpeg_becomes_its_colours(tmp_path):
    image = _saved(Image.new("RGB", (16, 16), (220, 30, 40)).convert("CMYK"), tmp_path / "a.jpg", quality=95)
    assert np.abs(_pixels(image) - (220, 30, 40)).max() <= 6  # JPEG's rounding


def test_palette_becomes_its_colours(tmp_path, upright):
    image = _saved(upright.convert("P", palette=Image.Palette.ADAPTIVE), tmp_path / "a.png")
    assert np.array_equal(_pixels(image), _pixels(upright))


def test_transparent_palette_entry_shows_the_background(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    assert _pixels(decode(tmp_path / "a.png", where="a")).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_transparent_colour_key_shows_the_background(tmp_path):
    image = Image.new("RGB", (2, 1), (9, 9, 9))
    image.putpixel((1, 0), (0, 0, 255))
    image.save(tmp_path / "a.png", transparency=(9, 9, 9))
    assert _pixels(decode(tmp_path / "a.png", where="a")).tolist() == [[[255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize(("background", "expected"), [((255, 255, 255), 178), ((0, 0, 0), 50)])
def test_alpha_is_laid_on_the_stated_colour(tmp_path, background, expected):
    Image.new("RGBA", (3, 3), (100, 100, 100, 128)).save(tmp_path / "a.png")
    image = decode(tmp_path / "a.png", where="a", background=background)
    assert np.abs(_pixels(image) - expected).max() <= 1  # 100 * 128/255 + background * 127/255


def test_grey_with_alpha_is_laid_on_white(tmp_path):
    image = _saved(Image.new("LA", (2, 2), (0, 0)), tmp_path / "a.png")
    assert (_pixels(image) == 255).all()


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert _pixels(decode(tmp_path / "a.png", where="a"))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_tiff_keeps_its_range(tmp_path):
    values = np.array([[0, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert _pixels(decode(tmp_path / "a.tif", where="a"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = _saved(Image.new("RGB", (4, 4), "white").convert(mode), tmp_path / "a.tif")
    assert (_pixels(image) >= 254).all()


def test_float_image_is_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"integer pixels.*a\.tif"):
        decode(tmp_path / "a.tif", where=str(tmp_path / "a.tif"))


def test_greys_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="16 bits"):
        decode(tmp_path / "a.tif", where="a")


def test_first_frame_of_an_animation_is_taken(tmp_path):
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    assert _pixels(decode(tmp_path / "a.gif", where="a"))[0, 0].tolist() == [255, 0, 0]


def test_bytes_and_path_give_the_same(tmp_path, upright):
    from_path = _saved(upright, tmp_path / "a.jpg")
    assert from_path.tobytes() == decode((tmp_path / "a.jpg").read_bytes(), where="a").tobytes()


def _png_of_size(width, height):
    """A PNG header that promises a size, and next to nothing behind it."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"tiny")


def test_too_many_pixels_are_refused_from_the_header():
    with pytest.raises(ImageError, match=r"at most 1000 pixels.*bomb\.png.*40 x 26 = 1040"):
        decode(_png_of_size(40, 26), where="bomb.png", max_pixels=1000)


@pytest.mark.parametrize("side", [9_600, 60_000])
def test_bomb_that_pillow_knows_is_refused_by_our_limit(side):
    with pytest.raises(ImageError, match=r"at most 50000000 pixels.*bomb\.png"):
        decode(_png_of_size(side, side), where="bomb.png")


def test_limit_itself_is_allowed(tmp_path, upright):
    upright.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", where="a", max_pixels=24).size == (6, 4)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp", "tif", "ppm"])
def test_truncated_file_is_an_image_error_with_its_path(tmp_path, suffix):
    path = tmp_path / f"half.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"half\.{suffix}.*Replace or remove"):
        decode(path, where=str(path))


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_file_of_no_known_format_is_an_image_error(content):
    with pytest.raises(ImageError, match=r"known format.*odd\.jpg"):
        decode(content, where="odd.jpg")


def test_formats_that_start_other_programs_are_not_read():
    assert not {"EPS", "WMF"} & set(FORMATS)


def test_missing_file_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        decode(tmp_path / "gone.jpg", where=str(tmp_path / "gone.jpg"))


@given(
    content=st.binary(max_size=80),
    head=st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\x00"]),
)
def test_no_bytes_raise_anything_else(content, head):
    with pytest.raises(ImageError):
        decode(head + content, where="random")


@pytest.mark.parametrize("max_pixels", [0, -1, 10**9])
def test_limit_that_pillow_cannot_honour_is_refused(max_pixels):
    with pytest.raises(ConfigError, match=r"max_pixels must be in \[1, "):
        check_max_pixels(max_pixels)


@pytest.mark.parametrize(
    ("name", "answer"),
    [("a.JPG", True), ("a.webp", True), ("._a.jpg", False), ("a.txt", False), ("a.npy", False)],
)
def test_image_files_are_known_by_suffix(tmp_path, name, answer):
    assert is_image_file(tmp_path / name) is answer


@pytest.mark.parametrize("kind", ["P1", "P2", "P3", "P4", "P5", "P6", "Pf"])
@pytest.mark.parametrize("before", ["4 4 ", "4 ", ""])
def test_a_netpbm_header_of_comments_is_refused_unread(kind, before):
    content = f"{kind}\n{before}".encode() + b"#\n" * 10_000 + b"4 4 255\n" + bytes(64)
    # P1 and P4 have no largest value: what follows their size is the pixels'
    with pytest.raises(ImageError, match=r"header of a netpbm file|at most 1(,000)? "):
        decode(content, where="a.ppm", max_pixels=1)


@pytest.mark.parametrize("kind", ["PPM", "PGM", "PBM"])
def test_netpbm_files_of_any_content_are_read(kind):
    mode = {"PPM": "RGB", "PGM": "L", "PBM": "1"}[kind]
    for value in (0, 0x20, 0x23, 255):
        image = Image.new("RGB", (200, 200), (value,) * 3).convert(mode)
        stream = io.BytesIO()
        image.save(stream, "PPM")
        content = stream.getvalue().replace(b"\n", b"\n# a comment\n", 1)
        assert decode(content, where="a").tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_pixels_written_as_text_have_few_comments(kind):
    start = b"%s\n1 1 %s" % (kind.encode(), b"" if kind == "P1" else b"255\n")
    assert decode(start + b"#\n" * 1000 + b"0 0 0", where="a").size == (1, 1)
    with pytest.raises(ImageError, match="at most 1,000 comments, and has 300,000"):
        decode(start + b"#\n" * 300_000 + b"0 0 0", where="a")
