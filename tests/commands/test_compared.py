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


@pytest.mark.parametrize("method", ["wise-ft", "r-adapter"])
def test_a_method_of_a_comparison_is_a_run(compared, method):
    run = compared.run(method, seed=1)
    row = run.results.row(method)
    assert row.alpha == compared.results.row(method).alphas[1]
    source = {"sketch": SETTINGS["data"]["ood"]["sketch"]}
    assert run.evaluate(source, progress=False).row(method).id == {"sketch": {**row.ood["sketch"]}}
    assert run.config.method.name == method
    assert run.config.train.lr == compared.results.search[{"wise-ft": "full"}.get(method, method)].chosen
    assert [point.alpha for point in run.sweep()] == [point.alpha for point in compared.results.sweep[1:12]]
    written = (run.folder / "results.json").stat().st_mtime_ns
    assert compared.run(method, seed=1).results == run.results
    assert (run.folder / "results.json").stat().st_mtime_ns == written


def test_the_runs_of_a_comparison_average_to_its_results(compared):
    each = [compared.run("r-adapter", seed).results.row("r-adapter") for seed in compared.seeds]
    mean = compared.results.row("r-adapter")
    assert sum(row.id_mean for row in each) / 2 == pytest.approx(mean.id_mean)
    assert sum(row.ood_mean for row in each) / 2 == pytest.approx(mean.ood_mean)


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
