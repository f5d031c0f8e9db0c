"""Few shots, base to novel and cross-dataset on miniature layouts, from the command line."""

import json
import random
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

NAMES = ("star", "sun", "heart", "drop", "fish", "rocket", "house")
OTHERS = ("moon", "cloud", "car")


@pytest.fixture
def here(here):
    layout(here, "pets", NAMES, train=4, val=2, test=3)
    layout(here, "cars", OTHERS, train=1, val=1, test=4)
    return here


def layout(root: Path, task: str, names: tuple[str, ...], **counts: int) -> None:
    """A CoOp data set: images, and split_zhou_TASK.json."""
    drawn = random.Random(task)
    splits: dict[str, list[list[object]]] = {split: [] for split in counts}
    for label, name in enumerate(names):
        (root / task / name).mkdir(parents=True)
        for split, count in counts.items():
            for number in range(count):
                file = f"{name}/{split}{number}.png"
                Image.frombytes("RGB", (16, 16), drawn.randbytes(768)).save(root / task / file)
                splits[split].append([file, label, name])
    (root / f"split_zhou_{task}.json").write_text(json.dumps(splits))


def spec(split: str, task: str = "pets", **options: object) -> str:
    return json.dumps({"coop": f"split_zhou_{task}.json", "images": task, "split": split, **options})


def settings(**replaced: str) -> list[str]:
    data = {
        "train": spec("train", half="base", shots=2),
        "id_val": spec("val", half="base"),
        "id_test": f"{{base: {spec('test', half='base')}}}",
        "transfer": f"{{novel: {spec('test', half='novel')}, cars: {spec('test', 'cars', templates='a {}.')}}}",
        **replaced,
    }
    return [f"data.{key}={value}" for key, value in data.items()]


@pytest.fixture
def train(radapter, written, here):
    """`radapter train` into the folder `out`."""

    def run(*overrides: str, **replaced: str):
        small = ["train.epochs=1", "method.r=4", "data.ood={}", *settings(**replaced)]
        return radapter("train", written, *small, *overrides, "--out", "out")

    return run


@pytest.fixture
def refused(refusal, train):
    """What was said when a run was refused before anything was written."""
    return partial(refusal, train)


def test_base_to_novel_and_cross_dataset_are_trained_swept_and_reported(train, radapter, here):
    answer = train()
    assert answer.code == 0, answer.result.output
    assert "Kept" in answer.printed
    results = json.loads((here / "out" / "results.json").read_text())
    _, tuned = results["rows"]
    assert tuned["id"]["base"]["n"] == 12
    assert (tuned["transfer"]["novel"]["n"], tuned["transfer"]["cars"]["n"]) == (9, 12)
    assert {"base", "novel", "cars"} == tuned["forgetting"].keys()
    assert all(row["kept"] is not None for row in results["sweep"])
    assert results["selection"]["split"] == "id_val"
    assert json.loads((here / "out" / "trained.json").read_text())["classnames"] == list(NAMES[:4])
    swept = radapter("sweep", "out")
    assert (swept.code, "Kept" in swept.printed) == (0, True)


def test_a_resolved_configuration_keeps_the_templates_of_a_transfer_set(train, radapter, here):
    assert train("method=zero-shot").code == 0
    again = radapter("train", "out/config.yaml", "--out", "again")
    assert again.code == 0, again.result.output
    first, second = (json.loads((here / run / "results.json").read_text()) for run in ("out", "again"))
    assert first["rows"] == second["rows"]


def test_novel_classes_of_a_run_with_a_trained_head_are_refused_by_evaluate(train, radapter, here):
    assert train("method=full").code == 0
    novel = ["--data", spec("test", half="novel"), "--classnames", "[fish, rocket, house]"]
    answer = radapter("evaluate", "out", *novel)
    assert answer.code == 2
    assert "trained a head for them" in " ".join(answer.said.split())


def test_more_shots_than_a_class_has_are_reported_with_the_counts(refused):
    said = refused(train=spec("train", half="base", shots=5))
    assert "distinct images for shots: 5. In 'train' 4 of 4 have fewer: 'star' (4), 'sun' (4)" in said
    assert "Use shots: 4" in said


def test_missing_images_are_reported_with_how_many_and_which(refused, here):
    for number in range(4):
        (here / "pets" / "sun" / f"train{number}.png").unlink()
    said = refused()
    assert "Of the 28 that 'split_zhou_pets.json' names in 'pets' there is no 4: sun/train0.png" in said


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"train": spec("trian")}, "data.train.split must be one of 'train', 'val', 'test'. Got 'trian'."),
        ({"train": spec("train", half="bass")}, "data.train.half must be null or one of 'base', 'novel'"),
        ({"train": spec("train", shots=0)}, "data.train.shots must be null or a whole number >= 1. Got 0."),
        ({"train": "{coop: split_zhou_pets.json}"}, "'data.train.images' is required"),
        ({"transfer": f"{{cars: {spec('test', 'cars', templats='a')}}}"}, "'data.transfer.cars.templates'"),
        ({"transfer": f"{{cars: {spec('test', 'cars', templates=3)}}}"}, "templates that are text or a list"),
        ({"transfer": f"{{cars: {spec('test', 'cars', templates='a')}}}"}, "'a' is neither name nor file"),
        ({"transfer": f"{{base: {spec('test', 'cars')}}}"}, "'base' is in both"),
        ({"id_test": spec("train", half="base")}, "no image of a validation or test set may be trained on"),
        ({"transfer": f"{{seen: {spec('train')}}}"}, "in 'seen' 8 are also in 'train'"),
    ],
)
def test_other_mistakes_are_found_before_anything_is_written(refused, replaced, said):
    assert said in refused(**replaced)
