"""The 15 corruptions: each acts, grows with severity, and is a pure function of image and seed."""

from statistics import NormalDist

import numpy as np
import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.data.images.arrays import blurred, filtered, moved, zoomed
from radapter.data.images.corruptions import CORRUPTIONS, MIXED, corrupted
from radapter.errors import ConfigError


def sample_image(width: int = 60, height: int = 48) -> Image.Image:
    """Shapes, edges and shades."""
    rows, columns = np.mgrid[:height, :width] / min(height, width)
    red = 0.5 + 0.4 * np.sin(9 * rows)
    green = 0.2 + 0.6 * ((rows - 0.5) ** 2 + (columns - 0.6) ** 2 < 0.1)
    blue = 0.8 * columns / columns.max()
    return Image.fromarray((255 * np.stack([red, green, blue], axis=2)).astype(np.uint8))


TINY = sample_image(12, 10)


def distance(image: Image.Image, **options) -> float:
    changed = corrupted(image, key=7, **options)
    return float(np.abs(np.asarray(changed, dtype=float) - np.asarray(image, dtype=float)).mean())


def plain(level: int) -> Image.Image:
    """One grey, as wide as the constants are meant for."""
    return Image.new("RGB", (224, 224), (level, level, level))


def changed(image: Image.Image, type: str, severity: int) -> np.ndarray:
    """(H, W, 3), in [0, 1]."""
    return np.asarray(corrupted(image, key=7, type=type, severity=severity), dtype=float) / 255


def test_the_15_types_are_those_of_imagenet_c():
    assert set(CORRUPTIONS) == {
        *("gaussian_noise", "shot_noise", "impulse_noise"),
        *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        *("snow", "frost", "fog", "brightness"),
        *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    }


def published(**constant: tuple[float, ...]):
    """A test for each severity, with its constant of `make_imagenet_c.py` in hendrycks/robustness."""
    ((name, values),) = constant.items()
    return pytest.mark.parametrize(("severity", name), [*enumerate(values, 1)])


@published(scale=(0.08, 0.12, 0.18, 0.26, 0.38))
def test_gaussian_noise_has_the_published_deviation(severity, scale):
    noise = changed(plain(128), "gaussian_noise", severity) - 128 / 255
    reach = 50.5 / 255  # between two levels, and far from black and white, where noise is cut off
    share = 2 * NormalDist(0, scale).cdf(reach) - 1
    assert (np.abs(noise) < reach).mean() == pytest.approx(share, abs=0.006)  # over 4 deviations of its draws


@published(photons=(60, 25, 12, 5, 3))
def test_shot_noise_has_the_variance_of_so_many_photons(severity, photons):
    grey = 26 / 255  # dark, so that next to nothing is cut off at white
    noise = changed(plain(26), "shot_noise", severity) - grey
    assert noise.mean() == pytest.approx(0, abs=0.003)
    assert noise.var() == pytest.approx(grey / photons, rel=0.03)


@published(amount=(0.03, 0.06, 0.09, 0.17, 0.27))
def test_impulse_noise_hits_the_published_share_half_salt_half_pepper(severity, amount):
    noisy = changed(plain(128), "impulse_noise", severity)
    assert np.unique(noisy).tolist() == [0, 128 / 255, 1]
    assert (noisy == 1).mean() == pytest.approx(amount / 2, abs=0.004)
    assert (noisy == 0).mean() == pytest.approx(amount / 2, abs=0.004)


@published(kept=(0.4, 0.3, 0.2, 0.1, 0.05))
def test_contrast_keeps_the_published_share_of_the_distance_from_each_channel_s_mean(severity, kept):
    image = Image.new("RGB", (2, 1))
    image.putdata([(0, 100, 40), (200, 100, 80)])
    expected = [[100 - 100 * kept, 100, 60 - 20 * kept], [100 + 100 * kept, 100, 60 + 20 * kept]]
    np.testing.assert_allclose(changed(image, "contrast", severity)[0] * 255, expected, atol=0.51)


@published(more=(0.1, 0.2, 0.3, 0.4, 0.5))
def test_brightness_adds_to_the_value_and_keeps_hue_and_saturation(severity, more):
    image = Image.new("RGB", (3, 1))
    image.putdata([(102, 51, 0), (0, 0, 0), (255, 51, 204)])
    value = 0.4 + more
    expected = [[value, value / 2, 0], [more] * 3, [1, 0.2, 0.8]]  # the last has the largest value already
    np.testing.assert_allclose(changed(image, "brightness", severity)[0], expected, atol=0.51 / 255)


@published(side=(134, 112, 89, 67, 56))
def test_pixelate_leaves_so_many_pixels_a_side_each_the_mean_of_those_it_covers(severity, side):
    ramp = np.tile(np.arange(224, dtype=np.uint8), (224, 1))
    row = changed(Image.fromarray(np.stack([ramp] * 3, axis=2)), "pixelate", severity)[0, :, 0] * 255
    assert len(np.unique(row)) == side  # int(224 * 0.6) and so on
    assert row[0] == pytest.approx((224 / side - 1) / 2, abs=1)


@published(
    zooms=tuple(
        np.arange(1, *end) for end in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    )
)
def test_zoom_blur_averages_the_published_zooms(severity, zooms):
    assert len(zooms) == (12, 16, 11, 13, 11)[severity - 1]
    image = sample_image(224, 224)
    x = np.asarray(image, dtype=float) / 255
    expected = np.mean([x, *(zoomed(x, zoom) for zoom in zooms)], axis=0)
    np.testing.assert_allclose(changed(image, "zoom_blur", severity), expected, atol=0.51 / 255)


def test_snow_pales_by_luma_as_the_released_code():
    image = Image.new("RGB", (224, 224), (0, 0, 255))  # mean 1/3, luma 0.114
    snowy = changed(image, "snow", 5)
    assert snowy[:, :, 0].min() == pytest.approx(
        0.45 * (0.114 * 1.5 + 0.5), abs=0.51 / 255
    )  # where no flake lies


def test_mixed_draws_one_of_the_15_types_for_each_image_by_its_content():
    image = sample_image()
    of_type = {corrupted(image, key=7, type=type, severity=3).tobytes() for type in CORRUPTIONS}
    assert corrupted(image, key=7, type=MIXED, severity=3).tobytes() in of_type
    found = {
        type
        for key in range(150)
        for type in CORRUPTIONS
        if corrupted(TINY, key=key, type=type, severity=3) == corrupted(TINY, key=key, type=MIXED, severity=3)
    }
    assert found == set(CORRUPTIONS)


@pytest.mark.parametrize("type", CORRUPTIONS)
def test_a_corruption_acts_and_grows_with_severity(type):
    distances = [distance(sample_image(), type=type, severity=severity) for severity in (1, 3, 5)]
    assert 0.3 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("type", CORRUPTIONS)
@pytest.mark.parametrize("size", [(5, 3), (31, 64), (300, 260)])
def test_any_size_stays_and_is_rgb(type, size):
    changed = corrupted(sample_image(*size), key=-5, type=type, severity=5)
    assert (changed.size, changed.mode) == (size, "RGB")


@pytest.mark.parametrize("type", CORRUPTIONS)
def test_equal_keys_and_seeds_give_equal_images(type):
    def drawn(key: int, seed: int) -> bytes:
        return corrupted(sample_image(), key=key, type=type, severity=3, seed=seed).tobytes()

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
    image = sample_image(240, 224)
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


def test_blur_keeps_a_plain_image_and_a_zoom_of_1_keeps_any():
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
        sample_image(30 + number, 30).save(tmp_path / "cat" / f"{number}.png")
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
        ("fog", r"corrupt must be \{type: a corruption, .*'fog'"),
    ],
)
def test_wrong_corruption_is_named(folder, corrupt, words):
    with pytest.raises(ConfigError, match=words):
        open_classification({"folder": str(folder), "corrupt": corrupt})
