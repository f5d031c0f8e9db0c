"""`data: {folder: photos}`: one line for training, validation and test."""

import pytest
import yaml
from PIL import Image

from radapter.config import load_config
from radapter.data.source import written

HEAD = "model: world:tiny\nmethod: linear-probe\ntrain: {epochs: 1, batch_size: 8}\n"


@pytest.fixture
def run(radapter, here):
    """Trains on `data: LINE` and gives what was said, in one line, and how it ended."""

    def of(line: str, *overrides: str, head: str = HEAD) -> tuple[int, str]:
        (here / "run.yaml").write_text(f"{head}data: {line}\n")
        answer = radapter("train", "run.yaml", *overrides)
        return answer.code, " ".join((answer.printed + answer.said).split())

    return of


def images(here, **folders: int):
    """So many images in each folder, no two alike."""
    for place, (folder, count) in enumerate(folders.items()):
        target = here / folder.replace("__", "/")
        target.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (12, 12), (place, number, 100)).save(target / f"{number}.png")


def test_a_key_of_another_kind_may_be_null(here):
    (here / "run.yaml").write_text(f"{HEAD}data: {{world: train, csv: null, stream: null}}\n")
    assert load_config(here / "run.yaml").data.train.world == "train"


def test_a_folder_of_classes_is_enough_and_each_set_is_described(run, here):
    images(here, photos__star=40, photos__moon=40)
    code, text = run("{folder: photos, rename: {star: small star}}")
    assert code == 0
    data = yaml.safe_load((here / "runs/run/config.yaml").read_text())["data"]
    assert data["train"] == {"folder": str(here / "photos"), "part": [0.0, 0.8]}
    assert data["rename"] == {"star": "small star"}
    assert "images of 2 classes, from {folder: photos, part: [0.8, 0.9]}" in text


def test_a_class_that_a_part_lacks_is_named(run, here):
    images(here, photos__star=40, photos__moon=1)
    code, text = run("{folder: photos}")
    assert code == 0
    assert text.count("of 1 of 2 classes, none of moon") == 2


def test_split_folders_are_used_and_what_is_missing_is_cut_from_training(run, here):
    images(here, photos__train__star=20, photos__train__moon=20, photos__test__star=4, photos__test__moon=4)
    code, text = run("{folder: photos, ood: {fog: {folder: photos/test, corrupt: {type: fog, severity: 1}}}}")
    assert code == 0
    assert "id_test: 8 images of 2 classes, from {folder: photos/test}" in text
    assert "from {folder: photos/train, part: [0.9, 1.0]}" in text


def test_a_folder_of_splits_is_refused_as_a_training_set(run, here):
    images(here, photos__train__star=2, photos__test__star=2)
    code, text = run("{train: photos, id_val: photos/test, id_test: photos/test}")
    assert code == 2
    assert "holds splits: train, test" in text
    assert "radapter data check photos" in text


def test_a_table_of_captions_is_enough_for_retrieval(run, here):
    images(here, photos=40)
    rows = ["image,caption", *(f"photos/{number}.png,a star number {number}" for number in range(40))]
    (here / "pairs.csv").write_text("\n".join(rows))
    head = "task: retrieval\nmodel: world:tiny\ntrain: {epochs: 1, batch_size: 8}\nselect: {alpha: 0.5}\n"
    code, text = run("{csv: pairs.csv, join_captions: false}", head=head)
    assert code == 0
    assert "from {csv: pairs.csv, part: [0.9, 1.0]}" in text


def test_masked_images_are_enough_for_segmentation(here):
    (here / "run.yaml").write_text("task: segmentation\nmodel: world:tiny\ndata: {world: scenes, size: 40}\n")
    data = load_config("run.yaml").data
    assert written(data.train) == {"from_masks": {"world": "scenes", "size": 40, "part": (0.0, 0.8)}}
    assert written(data.id_test) == {"id_test": {"world": "scenes", "size": 40, "part": (0.9, 1.0)}}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{folder: photos, train: photos}", "Got it beside data.train"),
        ("{folder: photos, part: [0, 0.5]}", "Got data.part too"),
        ("{csv: a.csv, lable: kind}", "unknown key 'data.lable' beside data.csv. Did you mean 'label'"),
        ("{stream: shards}", "a stream is for data.train alone"),
        ("{folder: photos, csv: a.csv}", "exactly one of the keys"),
        ("{folder: gone}", "'gone' does not"),
    ],
)
def test_a_source_that_cannot_be_divided_is_refused(run, line, why):
    code, text = run(line)
    assert code == 2
    assert why in text
