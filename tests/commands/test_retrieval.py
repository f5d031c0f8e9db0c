"""Retrieval by command: init, train, sweep, evaluate, merge, compare, methods; and what is refused."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image
from processes.start import TIMEOUT

from radapter.config import load_config
from radapter.config.building import suite_of

SMALL = (
    "train.epochs=1",
    "train.batch_size=8",
    "data.train={world: scenes, styles: photo, size: 24}",
    "data.id_val={world: scenes, styles: photo, size: 12, seed: 1}",
    "data.id_test={world: scenes, styles: photo, size: 12, seed: 2}",
    "data.ood={sketch: {world: scenes, styles: sketch, size: 12}}",
)
SKETCHES = "sketch={world: scenes, styles: sketch, size: 12}"


@pytest.fixture(scope="module")
def written(initialised) -> Path:
    """What `radapter init retrieval` writes."""
    return initialised("retrieval")


@pytest.fixture(scope="module")
def run(finished, written) -> Path:
    """The folder of a finished run."""
    return finished(written, *SMALL)


@pytest.fixture
def with_data(run, here):
    """Gives a copy of the run whose configuration says something else in `data`."""

    def of(**settings) -> Path:
        copy = here / "-".join(settings)
        shutil.copytree(run, copy)
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["data"] |= settings
        (copy / "config.yaml").write_text(yaml.safe_dump(config))
        return copy

    return of


@pytest.fixture
def images(here) -> Path:
    """Twelve images, in the folder where commands run."""
    for number in range(12):
        Image.new("RGB", (16, 16), (20 * number, 0, 90)).save(here / f"{number}.png")
    return here


def table(folder: Path, name: str, rows: list[str], columns: str = "image,caption") -> str:
    (folder / name).write_text("\n".join((columns, *rows)))
    return name


def row_of(answer, method: str) -> list[str]:
    return next(line.split() for line in answer.printed.splitlines() if line.split()[:1] == [method])


def test_a_run_leaves_results_a_table_and_a_plot(run):
    results = json.loads((run / "results.json").read_text())
    assert (results["task"], results["selection"]["split"]) == ("retrieval", "id_val")
    page = (run / "results.md").read_text()
    assert "rsum / 6" in page
    assert "`sketch`, out of distribution" in page
    assert (run / "frontier.png").is_file()


@pytest.mark.slow
def test_accelerate_launch_gives_the_result_of_one_process(run, written, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    # docs/scale.md; on a machine without a GPU these are processes on the CPU
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launcher += ["--num_processes", "2", "--main_process_port", port]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "radapter_cli"]
    done = subprocess.run(
        [*launcher, "train", written, *SMALL, "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((folder / "results.json").read_text()) for folder in (run, tmp_path / "run"))
    assert two["rows"][0] == one["rows"][0]  # zero-shot: the same pairs, each counted once
    for row, other in zip(two["sweep"], one["sweep"], strict=True):
        for name, of in {**row["id"], **row["ood"]}.items():
            expected = {**other["id"], **other["ood"]}[name]
            assert (of["n"], of["texts"]) == (expected["n"], expected["texts"]) == (12, of["texts"])
            # float32 over three steps: an answer of twelve may change places with its neighbour
            assert of["rsum"] == pytest.approx(expected["rsum"], abs=6 / 12)


def test_sweep_shows_rsum_at_every_alpha(radapter, run):
    answer = radapter("sweep", run)
    assert answer.code == 0
    assert "r-adapter: rsum / 6 in %" in answer.printed
    assert sum(line.split()[-1:] == ["chosen"] for line in answer.printed.splitlines()) == 1


def test_evaluate_of_a_run_reads_pairs_and_gives_the_reported_figure(radapter, run):
    reported = json.loads((run / "results.json").read_text())["rows"][0]["ood"]["sketch"]["rsum"]
    answer = radapter("evaluate", run, "--data", SKETCHES)
    assert answer.code == 0, answer.result.output
    assert f"{100 * reported / 6:.1f}" in row_of(answer, "zero-shot")


def test_evaluate_of_a_run_joins_captions_as_the_run_does(radapter, with_data, run, images):
    pairs = table(images, "pairs.csv", [f"{n}.png,a number {n // 2}" for n in range(12)])
    joined, apart = (
        radapter("evaluate", what, "--data", pairs, "--metric", "i2t_map_at_r", "--alpha", "0").printed
        for what in (run, with_data(join_captions=False))
    )
    assert joined != apart


@pytest.mark.parametrize(
    ("task", "data"),
    [
        ("retrieval", "pairs.csv"),
        ("classification", "{csv: labels.csv, classes: [boat, moon]}"),
        ("segmentation", "{masks: masks, images: images, classes: [boat, moon]}"),
    ],
)
def test_evaluate_of_a_run_keeps_its_limits(radapter, with_data, here, task, data):
    sides = [8, 8, 8, 16]  # the last has more than 200 pixels
    for folder, mode in (("images", "RGB"), ("masks", "L")):
        (here / folder).mkdir()
        for number, side in enumerate(sides):
            Image.new(mode, (side, side)).save(here / folder / f"{number}.png")
    table(here, "pairs.csv", [f"images/{n}.png,a number {n}" for n in range(4)])
    table(here, "labels.csv", [f"images/{n}.png,{n % 2}" for n in range(4)], "image,label")
    options = ("--task", task, "--data", data, "--alpha", "0")
    if task == "classification":
        options += ("--templates", "['a {}.']")
    refused = radapter("evaluate", with_data(max_pixels=200), *options)
    assert refused.code == 2
    assert "at most 200 pixels" in " ".join(refused.said.split())
    accepted = radapter("evaluate", with_data(max_pixels=200, max_bad=0.5), *options)
    assert accepted.code == 0, accepted.result.output


def test_evaluate_of_a_model_says_its_task(radapter, images):
    pairs = table(images, "pairs.csv", [f"{n}.png,a number {n}" for n in range(12)])
    answer = radapter(
        "evaluate", "world:tiny", "--task", "retrieval", "--data", pairs, "--metric", "t2i_mean_rank"
    )
    assert answer.code == 0, answer.result.output
    assert "Text-to-image mean rank" in answer.printed
    assert 1 <= float(row_of(answer, "zero-shot")[2]) <= 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metric", "top1"), "--metric must be one of rsum"),
        (("--classnames", "[a]"), "--classnames is for classification"),
        (("--templates", "short"), "--templates is for classification"),
        (("--task", "classification", "--metric", "rsum"), "--metric must be one of top1"),
    ],
)
def test_what_a_task_lacks_is_refused(radapter, run, options, said):
    answer = radapter("evaluate", run, "--data", SKETCHES, *options)
    assert answer.code == 2
    assert said in answer.said


def test_merge_writes_the_encoder_alone(radapter, run, tmp_path):
    answer = radapter("merge", run, "--alpha", "0.5", "--out", tmp_path / "merged")
    assert answer.code == 0, answer.result.output
    assert not (tmp_path / "merged" / "classes.json").exists()
    assert "classifier" not in answer.printed


def test_methods_lists_those_of_the_task(radapter):
    answer = radapter("methods", "--task", "retrieval")
    assert answer.code == 0
    assert "flyp" not in answer.printed
    assert "wise-ft" in answer.printed
    assert radapter("methods", "--task", "retrieval", "--classes", "3").code == 2


def test_standard_models_are_for_classification(radapter, written, tmp_path):
    answer = radapter(
        "compare",
        written,
        "--methods",
        "full-both-towers",
        "--standard-models",
        "a.csv",
        "--out",
        tmp_path / "out",
    )
    assert (answer.code, (tmp_path / "out").exists()) == (2, False)
    assert "--standard-models is for accuracies of classification" in answer.said


ROWS = [f"{n}.png,a number {n}" for n in range(8)]


@pytest.mark.parametrize(
    ("rows", "columns", "source", "said"),
    [
        (
            [*ROWS, "13.png,gone", "14.png,gone too"],
            "image,caption",
            "{}",
            ("no 2: 13.png, 14.png", "Of the 10"),
        ),
        ([*ROWS, "9.png,"], "image,caption", "{}", ("9.png", "lack a caption or have a blank one")),
        ([*ROWS, "9.png,   "], "image,caption", "{}", ("9.png", "lack a caption or have a blank one")),
        (ROWS, "image,caption", "{{csv: {}, group: scene}}", ("'scene'", "image, caption")),
        (ROWS, "picture,caption", "{}", ("'image'", "picture")),
        ([], "image,caption", "{}", ("train",)),
    ],
    ids=["missing images", "no caption", "blank caption", "no such group", "no image column", "no rows"],
)
def test_pairs_that_cannot_be_trained_on_are_named(
    radapter, refusal, written, images, rows, columns, source, said
):
    name = table(images, "train.csv", rows, columns)
    found = refusal(radapter, "train", written, *SMALL, f"data.train={source.format(name)}", "out=out")
    assert all(part in found for part in said), found


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.per_group=30", "train.batch_size must be a multiple of train.per_group, 30."),
        ("train.per_group=8", "train.per_group must be at most"),
        ("train.per_group=2 train.batch_size=200", "train.batch_size must be at most"),
    ],
)
def test_batches_that_cannot_be_filled_are_refused(radapter, refusal, written, images, override, said):
    name = table(images, "train.csv", [row + words for row in ROWS for words in ("", " again")])
    assert said in refusal(
        radapter, "train", written, *SMALL, f"data.train={name}", "out=out", *override.split()
    )


def test_a_test_image_that_is_trained_on_is_refused(radapter, written, images):
    name = table(images, "train.csv", ROWS)
    (images / "copy.png").write_bytes((images / "3.png").read_bytes())
    other = table(images, "test.csv", ["copy.png,other words", "9.png,nine"])
    options = [f"data.train={name}", f"data.ood={{leaking: {other}}}", "train.per_group=null", "out=out"]
    answer = radapter("train", written, *SMALL, *options)
    assert answer.code == 2
    assert "Of the 2 in 'leaking' 1 are also in 'train': " in answer.said
    assert "copy.png" in answer.said
    assert not (images / "out" / "config.yaml").exists()


def test_long_captions_are_counted_cut_and_logged_once(radapter, written, images, caplog):
    long = "red " * 40
    tested = table(images, "test.csv", [f"{n}.png,{long if n < 3 else ''}number {n}" for n in range(12)])
    sets = f"data.ood={{a: {tested}, grey: {{csv: {tested}, grayscale: true}}}}"
    answer = radapter("train", written, *SMALL, sets, "method=zero-shot", "out=out")
    assert answer.code == 0, answer.result.output
    found = [record.getMessage() for record in caplog.records if "more, up to" in record.getMessage()]
    assert len(found) == 1
    assert "captions of 'a, grey'" in found[0]
    assert "3 of 12 have more" in found[0]


def test_several_sources_are_trained_on_together(written, images, encoder):
    rows = [[*ROWS[:4], "0.png,one caption for two"], [*ROWS[4:], "5.png,One caption for  two"]]
    sources = ", ".join(table(images, f"{half}.csv", rows[half]) for half in (0, 1))
    suites = [
        suite_of(
            load_config(written, [*SMALL, f"data.train=[{sources}]", f"data.join_captions={join}"]), encoder
        )
        for join in ("true", "false")
    ]
    assert [len(suite.train) for suite in suites] == [8, 8]
    assert [len(suite.train.targets.unique()) for suite in suites] == [7, 8]
    assert len(suites[0].train.samples()) == 10


@pytest.mark.slow
def test_the_starter_is_a_case_in_which_fine_tuning_helps(radapter, written, tmp_path):
    smaller = ("train.epochs=2", "evaluation.alphas=chosen")  # half of its training is enough here
    answer = radapter("train", written, *smaller, "--out", tmp_path / "run")
    assert answer.code == 0, answer.result.output
    zero_shot, tuned = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert tuned["alpha"] > 0
    assert tuned["id_mean"] > zero_shot["id_mean"] + 0.1
    assert tuned["ood_mean"] > zero_shot["ood_mean"]
    assert "alpha 0 was chosen" not in answer.printed
