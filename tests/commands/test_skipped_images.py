"""Images that cannot be read: how many were skipped, and the option that accepts more."""

import pytest
from PIL import Image

PARTS = {"train": [0.0, 0.6], "id_val": [0.6, 0.8], "id_test": [0.8, 1.0]}


@pytest.fixture
def photos(tmp_path):
    """Forty images of two classes, one of which is damaged."""
    for number in range(40):
        path = tmp_path / "photos" / ("cup", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (5 * number, 3 * number, 200)).save(path)
    (tmp_path / "photos" / "cup" / "0.png").write_bytes(b"no image")
    return tmp_path / "photos"


def test_evaluate_takes_the_option_that_its_message_names_and_totals_what_it_skips(radapter, photos):
    answer = radapter("evaluate", "world:tiny", "--data", photos)
    assert answer.code == 2
    assert "--max-bad of evaluate" in answer.said
    answer = radapter("evaluate", "world:tiny", "--data", photos, "--max-bad", 0.05)
    assert answer.code == 0, answer.result.output
    assert "Skipped because they cannot be read: 1 images (photos 1)." in answer.said


@pytest.mark.parametrize("command", ["train", "compare"])
def test_training_totals_what_it_skips(radapter, initialised, tmp_path, photos, command):
    sets = [f"data.{role}={{folder: {photos}, part: {part}}}" for role, part in PARTS.items()]
    arguments = [*sets, "data.max_bad=0.2", "train.epochs=1", "train.batch_size=8"]
    if command == "compare":
        arguments += [
            "data.ood={c: {corrupt: id_test}}",
            "compare.points=1",
            "--methods",
            "linear-probe",
            "--seeds",
            "1",
        ]
    else:
        arguments += ["data.ood={}"]
    answer = radapter(command, initialised("classification"), *arguments, "--out", tmp_path / "run")
    assert answer.code == 0, answer.result.output
    assert "Skipped because they cannot be read: 1 images" in answer.said
