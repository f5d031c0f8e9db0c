"""Class names as a run reads them: spelling, renaming, and names that a text tower cannot tell apart."""

import json

import pytest
from PIL import Image

from radapter.data.images.decoding import MAX_PIXELS

RUN = (
    "model: world:tiny\ntrain: {epochs: 1, batch_size: 8}\ndata: {train: train, id_val: val, id_test: test}\n"
)


@pytest.fixture
def photos(here):
    """Writes run.yaml and three sets of class folders, four images of each class."""

    def write(*names: str, sets: tuple[str, ...] = ("train", "val", "test")):
        (here / "run.yaml").write_text(RUN)
        shades = iter(range(MAX_PIXELS))
        for folder in sets:
            for name in names:
                (here / folder / name).mkdir(parents=True)
                for number in range(4):
                    image = Image.new("RGB", (12, 12), (next(shades) % 256, len(folder), number))
                    image.save(here / folder / name / f"{number}.png")

    return write


@pytest.fixture
def said(radapter, here):
    """What a command says, in one line, and how it ends."""

    def of(*arguments: str) -> tuple[int, str]:
        answer = radapter(*arguments)
        return answer.code, " ".join((answer.printed + answer.said).split())

    return of


def test_classes_that_the_text_tower_reads_alike_are_refused_with_both_remedies(said, photos):
    photos("star", "aubergine", "courgette", "kohlrabi", "pak_choi")
    code, text = said("train", "run.yaml")
    assert code == 2
    assert (
        "reads 3 of the 5 names of data.train like another one: 'aubergine', 'courgette', 'kohlrabi'." in text
    )
    assert "lacks the words of 4 of them" in text
    assert "{rename: {'aubergine': a name that the model knows}}" in text
    assert "method: r-adapter+head" in text


def test_a_method_with_a_head_trains_on_them_with_a_warning(said, photos):
    photos("star", "aubergine", "courgette")
    code, text = said("train", "run.yaml", "method=linear-probe")
    assert code == 0
    assert "reads 2 of the 3 names of data.train like another one" in text


def test_a_comparison_refuses_them_unless_all_methods_train_a_head(said, photos):
    photos("aubergine", "courgette")
    grid = (
        "--seeds",
        "1",
        "--grid",
        "1e-3",
        "data.ood={shifted: {folder: test, corrupt: {type: fog, severity: 1}}}",
    )
    assert said("compare", "run.yaml", "--methods", "r-adapter,linear-probe", *grid)[0] == 2


def test_words_that_the_model_does_not_know_are_named_in_a_warning(said, photos):
    photos("star", "red_kohlrabi")
    code, text = said("train", "run.yaml", "method=zero-shot")
    assert code == 0
    assert (
        "'world:tiny' does not know those of 1 of the 2 names of data.train: 'red kohlrabi' (kohlrabi)."
        in text
    )


def test_rename_gives_every_set_other_names(said, photos, here):
    photos("aubergine", "court_yard")
    run = ("train", "run.yaml", "data.rename={aubergine: star, court yard: small moon}")
    assert said(*run)[0] == 0
    assert json.loads((here / "runs/run/trained.json").read_text())["classnames"] == ["star", "small moon"]
    assert "small moon" in (here / "runs/run/config.yaml").read_text()


def test_rename_of_a_class_that_no_set_has_proposes_the_nearest(said, photos):
    photos("star", "moon")
    code, text = said("train", "run.yaml", "data.rename={mon: sun}")
    assert code == 2
    assert "None has the class 'mon'" in text
    assert "Did you mean 'moon'" in text


def test_rename_renames_the_classes_that_data_classnames_lists(said, photos, here):
    photos("aubergine", "courgette")
    names = "data.classnames=[courgette, aubergine]"
    assert said("train", "run.yaml", "data.rename={aubergine: star, courgette: moon}", names)[0] == 0
    assert json.loads((here / "runs/run/trained.json").read_text())["classnames"] == ["moon", "star"]


def test_readers_of_two_kinds_mix(said, photos, here):
    photos("green_star", "moon")
    entries = [["val/green_star/1.png", 0, "green_star"], ["val/moon/1.png", 1, "moon"]]
    (here / "split.json").write_text(json.dumps({"train": entries, "val": entries, "test": entries}))
    assert said("train", "run.yaml", "data.id_val={coop: split.json, images: ., split: val}")[0] == 0


def test_a_single_class_is_refused(said, photos):
    photos("star")
    code, text = said("train", "run.yaml")
    assert code == 2
    assert "two classes or more. data.train has one: 'star'" in text


def test_evaluate_refuses_classes_that_the_model_reads_alike(said, photos):
    photos("aubergine", "courgette", sets=("test",))
    code, text = said("evaluate", "world:tiny", "--data", "test")
    assert code == 2
    assert "Give other names with --classnames" in text


def test_segment_refuses_classes_that_the_model_reads_alike(said, here):
    Image.new("RGB", (48, 48), (200, 0, 0)).save(here / "a.png")
    arguments = ("--data", "a.png", "--out", "b.png")
    code, text = said("segment", "world:tiny", *arguments, "--classes", "aubergine, courgette, star")
    assert code == 2
    assert "reads 2 of the 3 names of --classes like another one" in text
