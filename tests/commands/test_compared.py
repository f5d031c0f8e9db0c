"""`radapter.compare` gives what the command gives, and nothing on stdout."""

import json

import pytest
from models.small import clip_folder
from runs.figures import figures

import radapter as library
from radapter.errors import ConfigError, RunError
from radapter.runs.results import Results

SETTINGS = {
    "train": {"epochs": 1, "batch_size": 40},
    "compare": {"points": 1},
    "data": {
        "train": {"world": "train", "size": 80},
        "id_val": {"world": "id_val", "size": 40},
        "id_test": {"world": "id_test", "size": 40},
        "ood": {"sketch": {"world": "sketch", "size": 20}},
        "templates": ["a {}."],
    },
}
METHODS = ["wise-ft", "r-adapter"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A CLIP with random weights."""
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def compared(written, model, tmp_path_factory):
    """A comparison by the function."""
    out = tmp_path_factory.mktemp("compared") / "out"
    return library.compare(written, methods=METHODS, seeds=2, **SETTINGS, model=model, out=out)


def test_compare_gives_the_figures_of_the_command(radapter, compared, written, model, tmp_path):
    words = ["train.epochs=1", "train.batch_size=40", "compare.points=1", f"model={model}"]
    words += [f"data.{key}={json.dumps(value)}" for key, value in SETTINGS["data"].items()]
    options = ("--methods", ",".join(METHODS), "--seeds", 2, "--out", tmp_path / "out")
    assert radapter("compare", written, *words, *options).code == 0
    assert figures(compared.results) == figures(Results.read(tmp_path / "out"))


def test_a_comparison_knows_its_methods_seeds_and_trainings(compared):
    assert compared.methods == ("wise-ft", "r-adapter")
    assert compared.seeds == (0, 1)
    training = compared.chosen.methods["r-adapter"]["1"]
    assert (compared.folder / training.training / "trained.json").is_file()
    again = library.open_comparison(compared.folder)
    assert (again.results, again.methods) == (compared.results, compared.methods)


def test_a_comparison_is_continued_by_the_same_call(compared, written, model):
    before = {path: path.stat().st_mtime_ns for path in (compared.folder / "trainings").rglob("*")}
    library.compare(written, methods=METHODS, seeds=2, **SETTINGS, model=model, out=compared.folder)
    assert {path: path.stat().st_mtime_ns for path in (compared.folder / "trainings").rglob("*")} == before


def test_a_method_of_a_comparison_is_merged(compared, tmp_path):
    folder = compared.merge(tmp_path / "merged", method="r-adapter", seed=1, alpha=0.5)
    assert json.loads((folder / "certificate.json").read_text())["method"] == "r-adapter"
    with pytest.raises(ConfigError, match="must be one of the comparison's"):
        compared.merge(tmp_path / "other", method="lora")


def test_an_argument_that_a_comparison_chooses_is_refused_beside_a_file(written, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.lr must be left out of a comparison"):
        library.compare(written, train={"lr": 1e-3}, out=tmp_path / "out")


def test_a_folder_is_opened_as_what_it_is(compared, run):
    with pytest.raises(RunError, match="It is a comparison's"):
        library.open_run(compared.folder)
    with pytest.raises(RunError, match="must be the folder of a comparison"):
        library.open_comparison(run)


def test_compare_prints_nothing_on_stdout(compared, written, model, capsys):
    library.compare(written, methods=METHODS, seeds=2, **SETTINGS, model=model, out=compared.folder)
    assert capsys.readouterr().out == ""


def test_compare_needs_settings_and_a_seed(written):
    with pytest.raises(ConfigError, match="compare needs settings"):
        library.compare()
    with pytest.raises(ConfigError, match="seeds must be >= 1"):
        library.compare(written, seeds=0)
