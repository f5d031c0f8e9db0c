"""The images that a caller gives: every form, what cannot be read, and what is refused."""

import csv

import numpy as np
import pytest
from PIL import Image

from radapter.data import Reading
from radapter.errors import ConfigError, DataError
from radapter.inference import open_images


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six images in two folders, one deeper than the other."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        file = folder / ("cat" if number < 3 else "dogs/big") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9 + number, 7), (40 * number, 0, 9)).save(file)
    return folder


def files_of(photos):
    return sorted(photos.rglob("*.png"))


def sizes(images, **reading):
    return [sample.image.size for sample in open_images(images, reading=Reading(**reading))]


def test_every_form_of_the_same_images_gives_the_same_images(photos):
    files = files_of(photos)
    opened = [Image.open(file) for file in files]  # decoded, and so closed, below
    arrays = [np.asarray(image) for image in opened]
    expected = [(9 + number, 7) for number in range(6)]
    for form in (photos, str(photos), files, [str(file) for file in files], opened, arrays):
        assert sizes(form) == expected
    assert sizes([files[0], opened[1], arrays[2]]) == expected[:3]
    assert sizes(files[2]) == sizes(opened[2]) == sizes(arrays[2]) == [(11, 7)]


def test_paths_of_files_are_kept_and_images_in_memory_are_numbered(photos):
    files = files_of(photos)
    assert open_images(photos).paths == tuple(map(str, files))
    assert open_images([np.zeros((2, 2, 3), np.uint8)] * 2).paths == ("image 0", "image 1")
    with Image.open(files[1]) as second:
        assert open_images([files[0], second]).paths == (str(files[0]), "image 1")


def test_a_source_as_in_run_yaml_has_labels(photos):
    found = open_images({"folder": str(photos), "labels": {"dogs": "dog"}})
    assert found.labels == ("cat",) * 3 + ("dog",) * 3
    assert open_images(photos).labels is None


def test_a_source_is_read_in_the_classes_of_the_model_if_it_has_them(photos):
    source = {"folder": str(photos)}
    assert open_images(source, classnames=["Dogs", "cat", "bird"]).labels[-1] == "Dogs"
    assert open_images(source, classnames=["bird", "fish"]).labels[-1] == "dogs"


def test_tables_of_labels_and_of_captions_are_read(photos, tmp_path):
    table = tmp_path / "table.csv"
    with table.open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "label", "caption"])
        rows.writerows([str(path), "cat", "a cat"] for path in files_of(photos))
    assert open_images(table).labels == ("cat",) * 6
    captioned = open_images({"csv": str(table), "caption": "caption"})
    assert (len(captioned), captioned.labels) == (6, None)


def test_an_image_of_pillow_is_turned_upright_as_a_file_is(tmp_path):
    turned = Image.new("RGB", (8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    file = tmp_path / "turned.jpg"
    assert sizes(file) == sizes(Image.open(file)) == [(4, 8)]


def test_transparent_pixels_are_white_for_files_and_for_images_of_pillow(tmp_path):
    clear = Image.new("RGBA", (3, 3), (200, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    for form in (tmp_path / "clear.png", clear):
        (sample,) = open_images(form)
        assert sample.image.getpixel((0, 0)) == (255, 255, 255)


def test_an_image_that_cannot_be_read_is_reported_with_its_reason(photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    found = list(
        open_images([files_of(photos)[0], broken, tmp_path / "absent.png"], reading=Reading(max_bad=1))
    )
    assert [sample.error is None for sample in found] == [True, False, False]
    assert found[1].image is None
    assert str(broken) in str(found[1].error)
    assert "must exist" in str(found[2].error)


def test_more_unreadable_images_than_max_bad_end_the_work(photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    images = [*files_of(photos), broken]
    assert len(list(open_images(images, reading=Reading(max_bad=0.2)))) == 7
    with pytest.raises(DataError, match=r"at most 10\.00% of the images may be unreadable"):
        list(open_images(images, reading=Reading(max_bad=0.1)))


@pytest.mark.parametrize("form", ["file", "pillow", "array"])
def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path, form):
    large = Image.new("RGB", (30, 40))
    large.save(tmp_path / "large.png")
    images = {"file": tmp_path / "large.png", "pillow": large, "array": np.asarray(large)}[form]
    (sample,) = open_images(images, reading=Reading(max_bad=1, max_pixels=1000))
    assert "must have at most 1000 pixels" in str(sample.error)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        [np.zeros((3, 4, 4), np.uint8)],
        np.zeros((0, 4, 3), np.uint8),
        [3.5],
    ],
)
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(ConfigError):
        open_images(wrong)


@pytest.mark.parametrize("absent", [[], "not/there", "not/there.png"])
def test_absent_images_are_refused(absent):
    with pytest.raises(DataError):
        open_images(absent)


def test_a_wrong_key_of_a_source_is_named(photos):
    with pytest.raises(ConfigError, match="labls"):
        open_images({"folder": str(photos), "labls": {}})
