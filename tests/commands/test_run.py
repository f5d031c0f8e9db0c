"""The Python API gives what the command line gives, and prints nothing on stdout."""

import contextlib
import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from miniatures.drawings import drawn
from runs.figures import figures
from transformers import CLIPModel

import radapter as library
from radapter.config import load_config, resolved_yaml
from radapter.errors import ConfigError, InputError, RunError
from radapter.runs.results import Results

QUICK = {
    "train": {"epochs": 1},
    "data": {
        "train": {"world": "train", "size": 80},
        "id_val": {"world": "id_val", "size": 40},
        "id_test": {"world": "id_test", "size": 40},
        "ood": {"sketch": {"world": "sketch", "size": 40}},
    },
}
"""`conftest.SMALL` as keyword arguments."""
SKETCH = {"world": "sketch", "size": 40}


@pytest.fixture(scope="module")
def opened(run) -> library.Run:
    """The finished run of the command line, opened."""
    return library.open_run(run)


@pytest.fixture(scope="module")
def fitted(written, tmp_path_factory):
    """The same run by `fit`, and what it printed on stdout."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        found = library.fit(written, **QUICK, out=tmp_path_factory.mktemp("fit") / "run")
    return found, printed.getvalue()


@pytest.fixture(autouse=True)
def silent(request, capsys):
    """No call of these tests prints on stdout, except those of the command line."""
    yield
    if "radapter" not in request.fixturenames:
        assert capsys.readouterr().out == ""


def test_fit_gives_the_figures_of_the_command(fitted, opened):
    assert figures(fitted[0].results) == figures(opened.results)


def test_fit_prints_nothing_on_stdout(fitted):
    assert fitted[1] == ""


def test_fit_writes_the_files_of_the_command(fitted, run):
    assert {file.name for file in fitted[0].folder.iterdir()} == {file.name for file in run.iterdir()}
    assert (fitted[0].folder / "results.md").is_file()


def test_a_mapping_a_file_and_keyword_arguments_are_the_same_configuration(written):
    settings = yaml.safe_load(written.read_text())
    out = {"out": "runs/same"}
    of_file = resolved_yaml(load_config(written, (), out))
    assert resolved_yaml(load_config(settings, (), out)) == of_file
    assert resolved_yaml(load_config({}, (), settings | out)) == of_file


def test_keyword_arguments_are_overrides_of_a_section(written):
    settings = {"train": {"epochs": 7, "lr": 1e-4}, "method": {"name": "lora", "r": 4}, "seed": 3}
    words = ("train.epochs=7", "train.lr=1e-4", "method={name: lora, r: 4}", "seed=3")
    changed = load_config(written, (), settings)
    assert resolved_yaml(changed) == resolved_yaml(load_config(written, words))
    assert changed.train.batch_size == load_config(written).train.batch_size


def test_overrides_come_before_keyword_arguments(written):
    config = load_config(written, ("train.epochs=7", "seed=1"), {"train": {"epochs": 8}})
    assert (config.train.epochs, config.seed) == (8, 1)


def test_paths_tuples_and_sources_are_taken_as_yaml_gives_them(written, tmp_path):
    from radapter.data.labelled.world import WorldSource

    settings = yaml.safe_load(written.read_text())
    settings["train"]["crop_scale"] = (0.8, 1.0)
    settings["data"]["train"] = WorldSource(world="train", size=80)
    config = load_config(settings | {"out": tmp_path / "out"})
    assert (config.out, config.train.crop_scale) == (str(tmp_path / "out"), (0.8, 1.0))
    assert config.data.train.given() == {"world": "train", "size": 80}


def test_a_configuration_is_not_changed(written):
    settings = yaml.safe_load(written.read_text())
    before = json.dumps(settings)
    load_config(settings, ("train.epochs=7",), {"train": {"lr": 1e-4}})
    assert json.dumps(settings) == before


WRONG = [
    ({"train": {"lr": -1}}, "train.lr=-1"),
    ({"train": {"epoch": 3}}, "train.epoch=3"),
    ({"method": "loraa"}, "method=loraa"),
    ({"model": "world:none"}, "model=world:none"),
    ({"data": {"ood": {"sketch": {"wrld": "sketch"}}}}, "data.ood={sketch: {wrld: sketch}}"),
]


@pytest.mark.parametrize(("settings", "override"), WRONG, ids=lambda value: str(value)[:30])
def test_errors_are_those_of_the_command_line(radapter, written, tmp_path, settings, override):
    answer = radapter("train", written, override, "--out", tmp_path / "out")
    assert answer.code == 2
    with pytest.raises(InputError) as error:
        library.fit(written, **settings, out=tmp_path / "out")
    said = " ".join(answer.said.removeprefix("ERROR ").split())
    sentence = re.sub(r"^(argument [\w.]+|override '.*?'): ", "", said)
    assert re.sub(r"^(argument [\w.]+|override '.*?'): ", "", " ".join(str(error.value).split())) in sentence
    assert not (tmp_path / "out").exists()


def test_an_error_names_the_argument_beside_a_file_and_nothing_beside_a_mapping(written):
    with pytest.raises(ConfigError, match=r"^argument train\.lr: train\.lr must be"):
        load_config(written, (), {"train": {"lr": -1}})
    settings = yaml.safe_load(written.read_text())
    with pytest.raises(ConfigError, match=r"^train\.lr must be"):
        load_config(settings | {"train": {"lr": -1}})


def test_fit_without_settings_is_refused():
    with pytest.raises(ConfigError, match="fit needs settings"):
        library.fit()


def test_a_finished_run_is_read_with_resume_and_refused_without(fitted, written):
    folder = fitted[0].folder
    with pytest.raises(RunError, match="holds this run already"):
        library.fit(written, **QUICK, out=folder)
    before = (folder / "results.json").stat().st_mtime_ns
    again = library.fit(written, **QUICK, out=folder, resume=True)
    assert again.results == fitted[0].results
    assert (folder / "results.json").stat().st_mtime_ns == before


def test_an_interrupted_fit_says_how_it_is_continued(written, tmp_path, monkeypatch):
    from radapter.operations.bars import Bars

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bars, "report", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"Continue with the same call with resume=True"):
        library.fit(written, **QUICK, out=tmp_path / "out")
    monkeypatch.undo()
    assert library.fit(written, **QUICK, out=tmp_path / "out", resume=True).results.rows


def test_what_is_worth_knowing_is_logged(written, tmp_path, caplog):
    caplog.set_level(logging.INFO, "radapter")
    library.fit(written, **QUICK, method="zero-shot", out=tmp_path / "run", resume=True)
    assert "has no run yet" in caplog.text
    assert "few for choosing alpha" not in caplog.text


def test_progress_can_be_switched_off(written, tmp_path, capsys):
    library.fit(written, **QUICK, method="zero-shot", out=tmp_path / "run", progress=False)
    assert "evaluated" not in capsys.readouterr().err


def test_open_run_gives_the_results_and_the_settings(opened, run):
    assert opened.results == Results.read(run)
    assert opened.config.train.epochs == 1
    assert repr(opened) == f"Run({str(run)!r})"


def test_open_run_refuses_what_is_no_finished_run(radapter, tmp_path):
    with pytest.raises(RunError, match="must be a finished run") as error:
        library.open_run(tmp_path)
    assert " ".join(str(error.value).split()) in " ".join(radapter("sweep", tmp_path).said.split())


@pytest.mark.parametrize("alpha", [None, 0.0, 0.5])
def test_evaluate_gives_the_figures_of_the_command(radapter, opened, alpha):
    options = [] if alpha is None else ["--alpha", alpha]
    answer = radapter(
        "evaluate", opened.folder, "--data", "sketch={world: sketch, size: 40}", *options, "--json"
    )
    found = opened.evaluate({"sketch": SKETCH}, alpha=alpha)
    assert figures(found) == figures(Results.model_validate(json.loads(answer.printed)))
    assert figures(opened.evaluate(SKETCH, alpha=alpha)) == figures(found)  # named after what it holds


def test_evaluate_without_a_source_takes_the_sets_of_the_run(opened):
    found = opened.evaluate()
    assert found.rows[1].ood == opened.results.rows[1].ood


def test_evaluate_takes_paths_and_several_sets(opened, tmp_path):
    shapes = drawn(tmp_path / "shapes", size=40)
    found = opened.evaluate(shapes)
    assert found.sets("id") == ["shapes"]
    assert found.rows[0].id["shapes"]["n"] == 40
    both = opened.evaluate({"drawn": str(shapes), "sketch": SKETCH})
    assert both.sets("id") == ["drawn", "sketch"]
    assert both.rows[1].id["drawn"] == found.rows[1].id["shapes"]


@pytest.mark.parametrize(
    ("source", "alpha", "said"),
    [
        (3, None, "a source must be a path or a mapping"),
        ({}, None, "a source must be a path or a mapping"),
        ({"wrld": 3}, None, "a source must be a path or a mapping"),
        ({"wrld": "sketch"}, None, "'sketch' does not"),
        ("nosuch", None, "'nosuch' does not"),
        (SKETCH, 1.5, "alpha must be"),
    ],
)
def test_evaluate_refuses_what_is_no_source(opened, source, alpha, said):
    with pytest.raises(InputError, match=said):
        opened.evaluate(source, alpha=alpha)


def test_sweep_gives_every_alpha_of_the_command(radapter, opened):
    printed = json.loads(radapter("sweep", opened.folder, "--json").printed)
    points = [row for row in printed["sweep"] if row["method"] == "r-adapter"]
    assert [point.model_dump(mode="json") for point in opened.sweep()] == points
    assert [point.alpha for point in opened.sweep()] == [round(0.1 * step, 1) for step in range(11)]


def test_a_sweep_of_a_run_that_trained_nothing_is_refused(written, tmp_path):
    run = library.fit(written, **QUICK, method="zero-shot", out=tmp_path / "run")
    with pytest.raises(RunError, match="a sweep needs a trained method"):
        run.sweep()


def test_merge_writes_the_folder_of_the_command(radapter, opened, tmp_path):
    assert radapter("merge", opened.folder, "--alpha", "0.5", "--out", tmp_path / "command").code == 0
    folder = opened.merge(tmp_path / "method", alpha=0.5)
    assert folder == tmp_path / "method"
    names = sorted(file.name for file in folder.iterdir())
    assert names == sorted(file.name for file in (tmp_path / "command").iterdir())
    states = [
        CLIPModel.from_pretrained(at, dtype=torch.float32).state_dict()
        for at in (folder, tmp_path / "command")
    ]
    assert all(tensor.equal(states[1][name]) for name, tensor in states[0].items())


def test_merge_refuses_a_folder_that_exists(opened, tmp_path):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "file").touch()
    with pytest.raises(RunError, match="exists"):
        opened.merge(tmp_path / "merged", alpha=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Drawn photographs, a folder per class."""
    return drawn(tmp_path_factory.mktemp("drawn"), size=40)


def test_predict_agrees_with_evaluate(opened, folder):
    predictions = opened.predict(folder)
    labels = [Path(prediction.path).parent.name for prediction in predictions]
    right = [prediction.label == label for prediction, label in zip(predictions, labels, strict=True)]
    first = [prediction.zero_shot == label for prediction, label in zip(predictions, labels, strict=True)]
    zero_shot, tuned = opened.evaluate(folder).rows
    assert sum(right) / 40 == pytest.approx(tuned.id_mean)
    assert sum(first) / 40 == pytest.approx(zero_shot.id_mean)
    assert all(len(prediction.top) == 5 for prediction in predictions)


def test_predict_takes_another_alpha_and_other_classes(opened, folder):
    at_zero = opened.predict(folder, alpha=0.0, top=1)
    assert all(prediction.label == prediction.zero_shot for prediction in at_zero)
    others = opened.predict(folder, classnames=["star", "moon"], top=2)
    assert {prediction.label for prediction in others} <= {"star", "moon"}
    assert (
        opened.predict(folder).alpha == opened.results.rows[-1].alpha
    )  # the next call has the run's own again


def test_predict_takes_images_in_memory(opened, folder):
    from PIL import Image

    files = sorted(folder.rglob("*.png"))[:3]
    images = [Image.open(file) for file in files]
    of_files, of_images = (opened.predict(each, top=2) for each in (files, images))
    assert [each.top for each in of_files] == [each.top for each in of_images]


def test_embed_gives_unit_norm_features_of_images_and_texts(opened, folder):
    found = opened.embed(images=folder, texts=["a photo of a star."])
    assert (len(found.image_features), len(found.text_features)) == (40, 1)
    assert torch.from_numpy(found.image_features).norm(dim=1).allclose(torch.ones(40))


def test_the_model_is_loaded_once_for_several_calls(opened, folder, monkeypatch):
    import radapter.inference

    opened.predict(folder, top=1)
    monkeypatch.setattr(radapter.inference, "open_predictor", None)
    opened.predict(folder, alpha=0.3, top=1)
    opened.embed(texts=["a star"])


def test_what_uses_the_hub_asks_the_caller_and_not_the_stored_run(written, tmp_path):
    run = library.fit(written, **QUICK, method="zero-shot", allow_download=True, out=tmp_path / "run")
    assert run.allow_download
    assert run.config.allow_download
    assert not library.open_run(run.folder).allow_download


def test_importing_radapter_loads_no_run():
    code = (
        "import radapter, sys; "
        "assert 'fit' in dir(radapter) and 'EmaCallback' in dir(radapter); "
        "print([name for name in sys.modules if name in ('radapter.run', 'radapter.config', 'radapter.compared', "
        "'transformers.trainer_callback', 'IPython')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        library.fitt  # noqa: B018
