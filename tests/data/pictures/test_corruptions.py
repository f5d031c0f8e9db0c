"""The 15 corruptions: each acts, grows with severity, and is a pure function of picture and seed."""

import numpy as np
import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.data.pictures.arrays import blurred, filtered, moved, zoomed
from radapter.data.pictures.corruptions import CORRUPTIONS, corrupted
from radapter.errors import ConfigError


def picture(width: int = 60, height: int = 48) -> Image.Image:
    """Shapes, edges and shades."""
    rows, columns = np.mgrid[:height, :width] / min(height, width)
    red = 0.5 + 0.4 * np.sin(9 * rows)
    green = 0.2 + 0.6 * ((rows - 0.5) ** 2 + (columns - 0.6) ** 2 < 0.1)
    blue = 0.8 * columns / columns.max()
    return Image.fromarray((255 * np.stack([red, green, blue], axis=2)).astype(np.uint8))


def distance(image: Image.Image, **options) -> float:
    changed = corrupted(image, key=7, **options)
    return float(np.abs(np.asarray(changed, dtype=float) - np.asarray(image, dtype=float)).mean())


def test_the_15_types_are_those_of_imagenet_c():
    assert len(CORRUPTIONS) == 15


@pytest.mark.parametrize("type", CORRUPTIONS)
def test_a_corruption_acts_and_grows_with_severity(type):
    distances = [distance(picture(), type=type, severity=severity) for severity in (1, 3, 5)]
    assert 0.3 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("type", CORRUPTIONS)
@pytest.mark.parametrize("size", [(5, 3), (31, 64), (300, 260)])
def test_any_size_stays_and_is_rgb(type, size):
    changed = corrupted(picture(*size), key=-5, type=type, severity=5)
    assert (changed.size, changed.mode) == (size, "RGB")


@pytest.mark.parametrize("type", CORRUPTIONS)
def test_equal_keys_and_seeds_give_equal_pictures(type):
    def drawn(key: int, seed: int) -> bytes:
        return corrupted(picture(), key=key, type=type, severity=3, seed=seed).tobytes()

    random = type not in {
        "defocus_blur",
        "zoom_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
    }
    assert drawn(1, 0) == drawn(1, 0)
    assert (drawn(1, 0) != drawn(2, 0)) == random
    assert (drawn(1, 0) != drawn(1, 1)) == random


@pytest.mark.parametrize("type", ["gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "pixelate"])
def test_a_severity_is_alike_at_twice_the_size(type):
    image = picture(240, 224)
    small = distance(image, type=type, severity=3)
    large = distance(image.resize((480, 448), Image.Resampling.BICUBIC), type=type, severity=3)
    assert large == pytest.approx(small, rel=0.15)  # the grains are drawn anew


def test_filter_equals_summing_one_by_one():
    random = np.random.RandomState(0)
    image, kernel = random.random_sample((5, 6, 2)), random.random_sample((3, 5))
    padded = np.pad(image, ((1, 1), (2, 2), (0, 0)), mode="symmetric")
    expected = [
        [(padded[row : row + 3, column : column + 5] * kernel[:, :, None]).sum((0, 1)) for column in range(6)]
        for row in range(5)
    ]
    np.testing.assert_allclose(filtered(image, kernel), np.array(expected) / kernel.sum(), atol=1e-12)


def test_blur_keeps_a_plain_picture_and_a_zoom_of_1_keeps_any():
    np.testing.assert_allclose(blurred(np.full((4, 4, 3), 0.3), 2.0), 0.3)
    image = np.random.RandomState(0).random_sample((5, 4, 3))
    np.testing.assert_allclose(zoomed(image, 1.0), image, atol=1e-12)


def test_moved_reads_between_pixels_and_stops_at_edges():
    image = np.arange(6.0).reshape(2, 3, 1)
    found = moved(image, np.array([[0.5, -9.0]]), np.array([[0.5, 9.0]]))
    assert found[0, :, 0].tolist() == [2.0, 2.0]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cat").mkdir()
    for number in range(6):
        picture(30 + number, 30).save(tmp_path / "cat" / f"{number}.png")
    return tmp_path


def test_a_source_is_corrupted_when_read_and_keeps_its_keys_and_parts(folder):
    spec = {"folder": str(folder), "corrupt": {"type": "gaussian_noise", "severity": 5}}
    plain, noisy = open_classification(str(folder)), open_classification(spec)
    assert noisy.keys.tolist() == plain.keys.tolist()
    assert noisy.image(0).tobytes() == noisy.image(0).tobytes() != plain.image(0).tobytes()
    half = open_classification({**spec, "part": [0, 0.5]})
    at = noisy.keys.tolist().index(int(half.keys[0]))
    assert half.image(0).tobytes() == noisy.image(at).tobytes()


@pytest.mark.parametrize(
    ("corrupt", "words"),
    [
        ({"type": "fogg", "severity": 1}, r"Got 'fogg'\. Did you mean 'fog'"),
        ({"type": "fog"}, r"severity .* in \[1, 5\]\. Got None"),
        ({"type": "fog", "severity": 6}, "Got 6"),
        ({"type": "fog", "severity": True}, "Got True"),
        ({"type": "fog", "severity": 1, "sed": 1}, "Did you mean 'seed'"),
        ({"type": "fog", "severity": 1, "seed": -1}, "seed of corrupt .* Got -1"),
        ("fog", "must be a mapping"),
    ],
)
def test_wrong_corruption_is_named(folder, corrupt, words):
    with pytest.raises(ConfigError, match=words):
        open_classification({"folder": str(folder), "corrupt": corrupt})
