"""CoOp's split files."""

import json
import random
from collections import defaultdict

import pytest
from PIL import Image

from radapter.data import open_classification
from radapter.errors import ConfigError, DataError

SPLITS = {
    "train": [["dogs/1.png", 1, "great_dane"], ["cats/1.png", 0, "tabby"]],
    "val": [["dogs/2.png", 1, "great_dane"]],
    "test": [["cats/2.png", 0, "tabby"], ["owls/1.png", 2, "barn_owl"]],
}


@pytest.fixture
def images(tmp_path):
    """The images that SPLITS names."""
    for number, (file, _, _) in enumerate(entry for entries in SPLITS.values() for entry in entries):
        (tmp_path / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "images" / file)
    return tmp_path / "images"


@pytest.fixture
def opened(tmp_path, images):
    """Opens a split of a file with that content."""

    def open_(content=SPLITS, split="train", **options):
        (tmp_path / "split_zhou_Pets.json").write_text(
            content if isinstance(content, str) else json.dumps(content)
        )
        spec = {"coop": str(tmp_path / "split_zhou_Pets.json"), "images": str(images), "split": split}
        return open_classification({**spec, **options})

    return open_


def test_paths_labels_and_class_names_are_the_files(opened, images):
    dataset = opened()
    assert dataset.name == "split_zhou_Pets"
    assert dataset.classnames == ("tabby", "great dane", "barn owl")
    assert dataset.labels.tolist() == [1, 0]
    assert dataset.where(0) == str(images / "dogs" / "1.png")


def test_class_list_is_the_same_in_every_split(opened):
    assert {opened(split=split).classnames for split in SPLITS} == {("tabby", "great dane", "barn owl")}
    assert len(opened(split="test")) == 2


def test_halves_and_shots_work_on_it(opened):
    assert opened(half="base", shots=1).labels.tolist() == [1, 0]
    assert opened(split="test", half="novel").classnames == ("barn owl",)


def test_missing_images_are_counted_with_the_first_three(opened, images):
    content = {"train": [[f"gone/{number}.png", 0, "a"] for number in range(5)] + SPLITS["train"][1:]}
    content["train"][-1] = ["cats/1.png", 0, "a"]
    with pytest.raises(
        DataError, match=r"Of the 6 .* 5: gone/0\.png, gone/1\.png, gone/2\.png \.\.\."
    ) as error:
        opened(content)
    assert str(images) in str(error.value)
    assert "complete the folder" in str(error.value)


@pytest.mark.parametrize("file", ["/etc/passwd", "../secret.png", "a/../../b.png", "C:\\a.png", "..\\a.png"])
def test_a_path_that_leaves_the_folder_is_refused(opened, file):
    with pytest.raises(DataError, match="paths must stay inside images"):
        opened({"train": [[file, 0, "a"]]})


@pytest.mark.parametrize(
    "entries",
    [
        [["cats/1.png", 0, "tabby"], ["dogs/1.png", 0, "great_dane"]],
        [["cats/1.png", 0, "tabby"], ["dogs/1.png", 1, "tabby"]],
        [["cats/1.png", 0, "great_dane"], ["dogs/1.png", 1, "great dane"]],
    ],
)
def test_labels_that_disagree_with_names_are_refused(opened, entries):
    with pytest.raises(DataError, match=r"1 also read otherwise: [01] is '"):
        opened({"train": entries})


def test_labels_that_disagree_between_splits_are_refused(opened):
    with pytest.raises(DataError, match="every label must have one class name"):
        opened({**SPLITS, "test": [["cats/2.png", 2, "tabby"]]})


@pytest.mark.parametrize(
    "row",
    ["cats/1.png", ["cats/1.png", 0], ["cats/1.png", "0", "a"], ["cats/1.png", True, "a"], ["", 0, "a"]],
)
def test_an_entry_that_is_no_triple_is_shown(opened, row):
    with pytest.raises(DataError, match=r"every entry must be \[path, label, class name\]\. .* has "):
        opened({"train": [row]})


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000, '{"train": 3}', '{"train": {}}'])
def test_a_file_that_is_no_split_file_is_refused(opened, content):
    with pytest.raises(DataError, match="split file must"):
        opened(content)


def test_an_unknown_split_proposes_the_nearest(opened):
    with pytest.raises(
        ConfigError, match=r"one of 'train', 'val', 'test'\. Got 'tset'\. Did you mean 'test'"
    ):
        opened(split="tset")


def test_a_split_that_the_file_lacks_is_named_with_those_it_has(opened):
    content = json.dumps({"train": SPLITS["train"], "test": SPLITS["test"]})
    with pytest.raises(ConfigError, match=r"split must be one of train, test\. .* has no 'val'"):
        opened(content, split="val")


def test_missing_file_and_folder_are_named(tmp_path, images):
    spec = {"coop": str(tmp_path / "gone.json"), "images": str(images)}
    with pytest.raises(DataError, match=r"gone\.json"):
        open_classification(spec)
    (tmp_path / "gone.json").write_text(json.dumps(SPLITS))
    with pytest.raises(DataError, match=r"images must be a folder\. .*nowhere"):
        open_classification({**spec, "images": str(tmp_path / "nowhere")})


def test_images_are_required(tmp_path):
    with pytest.raises(ConfigError, match="'images' is required: the folder that its paths start at"):
        open_classification({"coop": str(tmp_path / "a.json")})


def _files_of(dataset):
    return {dataset.where(index).rpartition("/")[2] for index in range(len(dataset))}


@pytest.fixture
def many(images):
    """Three classes with 40, 3 and 9 training images and fewer of val, in a mixed order."""
    random.seed(5)
    content = {"train": [], "val": [], "test": []}
    for split, counts in {"train": (40, 3, 9), "val": (12, 2, 5), "test": (1, 1, 1)}.items():
        for label, count in enumerate(counts):
            for number in range(count):
                file = f"{split}{label}-{number}.png"
                Image.new("RGB", (4, 4), (number, label, len(split))).save(images / file)
                content[split].append([file, label, ("zebra", "ape", "Dog")[label]])
        random.shuffle(content[split])
    return content


def _dassl(entries, num_shots):
    """Dassl's `generate_fewshot_dataset`, as it is written."""
    tracker = defaultdict(list)
    for item in entries:
        tracker[item[1]].append(item)
    dataset = []
    for items in tracker.values():
        dataset.extend(random.sample(items, num_shots) if len(items) >= num_shots else items)
    return {file for file, _, _ in dataset}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shots", [1, 2, 4, 8, 16])
def test_shots_of_coop_are_those_of_dassl_at_its_seeds(opened, many, shots, seed):
    random.seed(seed)
    expected = {"train": _dassl(many["train"], shots), "val": _dassl(many["val"], min(shots, 4))}
    for split, files in expected.items():
        dataset = opened(many, split, shots=shots, shots_seed=seed, shots_scheme="coop")
        assert _files_of(dataset) == files


def test_coop_draws_from_all_classes_before_it_halves_them(opened, many):
    options = {"shots": 2, "shots_seed": 1, "shots_scheme": "coop"}
    half = opened(many, half="base", **options)
    assert half.classnames == ("zebra", "ape")
    assert _files_of(half) == {file for file in _files_of(opened(many, **options)) if file[5] in "01"}


def test_classes_are_halved_in_alphabetical_order_where_asked(opened, many):
    halves = [opened(many, half=half, half_order="names").classnames for half in ("base", "novel")]
    assert halves == [("ape", "Dog"), ("zebra",)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "test", "shots": 1}, "split: test, which CoOp uses whole"),
        ({"shots": 1, "part": [0, 0.5]}, "Got part too"),
        ({}, "Give shots, or leave shots_scheme out"),
        ({"shots": 1, "shots_scheme": "cop"}, "Did you mean 'coop'"),
        ({"shots": 0}, "shots must be null or a whole number >= 1"),
        ({"shots": 1, "half_order": "names"}, "Give half, or leave half_order out"),
    ],
)
def test_a_scheme_that_cannot_be_is_refused(opened, many, options, words):
    with pytest.raises(ConfigError, match=words):
        opened(many, **{"shots_scheme": "coop", **options})


def test_other_sources_cannot_be_drawn_from_as_coop_does():
    with pytest.raises(ConfigError, match="Got a world source"):
        open_classification({"world": "train", "shots": 1, "shots_scheme": "coop"})
