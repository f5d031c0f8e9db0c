"""A run is resumed with the base model and the data that it was started with."""

import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

import radapter
from radapter.data import open_classification
from radapter.errors import RunError
from radapter.models import fingerprint
from radapter.runs.inputs import inputs_of


@pytest.fixture
def photos(tmp_path):
    """Six images in two classes."""
    for number, name in enumerate(["a", "b"] * 3):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def inputs(suite, photos, encoder=None):
    ood = {"photos": open_classification({"folder": str(photos)})}
    return inputs_of(replace(suite, ood=ood), "0" * 64 if encoder is None else fingerprint(encoder))


def test_the_same_data_on_another_machine_pass(suite, photos, tmp_path):
    inputs(suite, photos).write(tmp_path)
    shutil.copytree(photos, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    inputs(suite, tmp_path / "elsewhere").check(tmp_path)


def test_an_image_that_is_gone_is_named_with_both_numbers(suite, photos, tmp_path):
    inputs(suite, photos).write(tmp_path)
    (photos / "a" / "0.png").unlink()
    with pytest.raises(RunError, match=r"ood/photos: 6 samples before, 5 now\. Restore"):
        inputs(suite, photos).check(tmp_path)


def test_an_image_that_changed_is_noticed(suite, photos, tmp_path):
    inputs(suite, photos).write(tmp_path)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(photos / "a" / "0.png")
    with pytest.raises(RunError, match="ood/photos: other images"):
        inputs(suite, photos).check(tmp_path)


def test_renamed_classes_are_noticed(suite, photos, tmp_path):
    inputs(suite, photos).write(tmp_path)
    (photos / "b").rename(photos / "c")
    with pytest.raises(RunError, match="ood/photos: the same images with other labels"):
        inputs(suite, photos).check(tmp_path)


def test_exchanged_classes_are_noticed(suite, photos, tmp_path):
    inputs(suite, photos).write(tmp_path)
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (photos / old).rename(photos / new)
    with pytest.raises(RunError, match="ood/photos: "):
        inputs(suite, photos).check(tmp_path)


def test_another_base_model_is_noticed(suite, photos, tmp_path):
    encoder = radapter.load("world:tiny")
    inputs(suite, photos, encoder).write(tmp_path)
    with torch.no_grad():
        next(encoder.parameters()).add_(0.05)
    with pytest.raises(RunError, match=r"base model: fingerprint [0-9a-f]{16} before, [0-9a-f]{16} now"):
        inputs(suite, photos, encoder).check(tmp_path)


def test_a_folder_of_an_older_version_passes(suite, photos, tmp_path):
    inputs(suite, photos).check(tmp_path)
