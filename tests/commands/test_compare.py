"""`radapter compare`: what it leaves behind, how it is stopped and continued, what it refuses."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import yaml
from models.small import OPEN_CLIP, clip_folder
from PIL import Image
from safetensors.torch import load_file, save_file

from radapter.config import load_config
from radapter.config.building import recipe_of
from radapter.methods import METHODS as METHODS_ROWS
from radapter.models import fingerprint, load
from radapter.operations.checks import check_settings
from radapter.operations.comparing import alone

METHODS = "zero-shot,wise-ft,r-adapter"
QUICK = (
    "train.batch_size=40",
    "data.templates=['a {}.']",
    "data.ood={sketch: {world: sketch, size: 20}, neon: {world: neon, size: 20}}",
)
CENTRES = "compare={rates: {full: 1e-3, r-adapter: 3e-3}, points: 3}"
ONE_RATE = "compare.points=1"
OPTIONS = ("--methods", METHODS, "--seeds", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A CLIP with random weights, a hundred times as fast as the world's."""
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def asked(small, written, model) -> tuple[str, ...]:
    """The command, but for its folder."""
    return ("compare", str(written), *small, *QUICK, f"model={model}", CENTRES, *OPTIONS)


@pytest.fixture(scope="module")
def compared(radapter, asked, tmp_path_factory):
    """The folder of a finished comparison, and what was printed."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)  # suggested names are those that are free here
        answer = radapter(*asked, "--out", folder)
    assert answer.code == 0, answer.result.output
    return folder, answer


@pytest.fixture
def refused(radapter, refusal, written, small):
    """What was said of a comparison that was refused before anything was written."""
    return partial(refusal, radapter, "compare", written, *small, "--out", "out")


def figures(folder: Path) -> dict:
    """results.json without times, which differ between runs."""
    results = json.loads((folder / "results.json").read_text())
    for row in results["rows"]:
        del row["seconds"], row["seconds_per_epoch"]
    del results["evaluation_seconds"]
    return results


def test_results_have_a_row_a_method_with_means_spreads_and_seeds(compared):
    results = figures(compared[0])
    assert [row["method"] for row in results["rows"]] == METHODS.split(",")
    assert all(
        row[mean] is not None and row["spread"][mean] is not None
        for row in results["rows"]
        for mean in ("id_mean", "ood_mean")
    )
    assert [len(row["alphas"]) for row in results["rows"]] == [len(results["seeds"])] * 3 == [2, 2, 2]
    assert results["selection"]["split"] == "id_val"
    search = results["search"]
    assert list(search["full"]["learning_rates"]) == ["0.000316", "0.001", "0.00316"]
    assert list(search["r-adapter"]["learning_rates"]) == ["0.000949", "0.003", "0.00949"]


def test_the_grids_and_what_they_chose_are_printed(compared):
    printed, said = (" ".join(text.split()) for text in (compared[1].printed, compared[1].said))
    assert "learning rates per method: 3" in said
    assert "full: learning rates 0.000316, 0.001, 0.00316." in said
    assert "r-adapter: learning rates 0.000949, 0.003, 0.00949." in said
    assert "the same way for every method" in said
    chosen = figures(compared[0])["search"]["full"]["chosen"]
    assert f"within one paired standard error of the best on ID validation: full {chosen:g}" in printed


def test_a_best_rate_at_the_edge_is_printed_and_recorded(compared):
    for name, of in figures(compared[0])["search"].items():
        found = f"{name}: the best of its 3 learning rates, {of['best']:g}, is the edge of the grid"
        assert of["at_edge"] == (found in " ".join(compared[1].printed.split()))
        assert of["at_edge"] == (found in (compared[0] / "results.md").read_text())
        assert of["at_edge"] == (f"{of['best']:g}" != list(of["learning_rates"])[1])


def test_a_grid_moved_towards_its_edge_does_only_the_new_trainings(radapter, asked, compared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(compared[0], out)
    moved = CENTRES.replace("full: 1e-3", "full: 1e-2")
    answer = radapter(*[moved if word == CENTRES else word for word in asked], "--out", out)
    assert answer.code == 0, answer.result.output
    assert list(figures(out)["search"]["full"]["learning_rates"]) == ["0.00316", "0.01", "0.0316"]
    done = (compared[0] / "trainings/full/seed-0/lr-0.00316/validation.json").stat().st_mtime_ns
    assert (out / "trainings/full/seed-0/lr-0.00316/validation.json").stat().st_mtime_ns == done


def test_the_next_step_trains_the_best_on_id_validation_at_the_rate_that_was_chosen(compared):
    results = figures(compared[0])
    rates = {
        name: results["search"][{"wise-ft": "full"}.get(name, name)]["chosen"]
        for name in METHODS.split(",")[1:]
    }
    steps = {
        name: f"method={name} train.keep=best train.lr={rate:g} --out runs/{name}"
        for name, rate in rates.items()
    }
    shown = [name for name, step in steps.items() if step in compared[1].printed]
    first = json.loads((compared[0] / "trainings" / "zero-shot" / "seed-0" / "sweep.json").read_text())
    assert first[0]["id_val"]["n"] == results["selection"]["n"]

    def validated(name: str) -> float:
        """At seed 0 and the alpha of its row there."""
        alpha = next(row for row in results["rows"] if row["method"] == name)["alphas"][0]
        folder = compared[0] / "trainings" / {"wise-ft": "full"}.get(name, name) / "seed-0"
        sweep = json.loads((folder / f"lr-{rates[name]:g}" / "sweep.json").read_text())
        return next(row for row in sweep if row["alpha"] == alpha)["id_val"]["top1"]

    assert shown == [max(rates, key=validated)]


def test_soups_are_no_run_of_their_own(radapter, written, small, model, tmp_path):
    options = ("--methods", "greedy-soup", "--seeds", "1", "--out", tmp_path / "out")
    answer = radapter("compare", written, *small, *QUICK, f"model={model}", CENTRES, *options)
    assert answer.code == 0, answer.result.output
    assert "results.md" in answer.printed
    assert "as a run of its own" not in answer.printed
    selection = json.loads((tmp_path / "out" / "results.json").read_text())["selection"]
    assert selection["split"] == "id_val"
    assert selection["rule"].startswith("smallest alpha within one paired standard error of the best top-1")


def test_every_training_keeps_its_best_epoch(compared):
    assert yaml.safe_load((compared[0] / "comparison.yaml").read_text())["train"]["keep"] == "best"


def test_base_and_novel_classes_are_compared_without_a_shift(radapter, written, small, model, tmp_path):
    options = ("--methods", "full,r-adapter", "--seeds", "2", "--out", tmp_path / "out")
    settings = (*small, *QUICK[:2], "data.ood={}", NOVEL, f"model={model}", ONE_RATE)
    answer = radapter("compare", written, *settings, *options)
    assert answer.code == 0, answer.result.output
    row = figures(tmp_path / "out")["rows"][-1]
    assert "mean of H | H of means" in (tmp_path / "out" / "results.md").read_text()
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        found = list(csv.DictReader(file))[-1]
    names = ("kept", "harmonic_mean", "harmonic_of_means")
    assert [float(found[name]) for name in names] == [row[name] for name in names]
    assert float(found["transfer:novel"]) == row["transfer"]["novel"]["top1"]
    title = (tmp_path / "out" / "results.tex").read_text().splitlines()[3]
    assert title.startswith("Method & Trained & ID & Kept & H &")


def test_images_that_changed_under_their_names_are_another_comparison(
    snapshot, radapter, written, small, model, tmp_path
):
    for number, name in enumerate(("star", "sun")):
        (tmp_path / "shifted" / name).mkdir(parents=True)
        Image.new("RGB", (48, 48), (90 * number, 10, 30)).save(tmp_path / "shifted" / name / "a.png")
    shifted = f"data.ood={{shifted: {tmp_path / 'shifted'}}}"
    settings = (*small, *QUICK[:2], shifted, f"model={model}", ONE_RATE, "--seeds", "1")
    asked = ("compare", written, *settings, "--out", tmp_path / "out", "--methods")
    answer = radapter(*asked, "linear-probe")
    assert answer.code == 0, answer.result.output
    Image.new("RGB", (48, 48), (1, 2, 3)).save(tmp_path / "shifted" / "sun" / "a.png")
    before = snapshot(tmp_path / "out")
    answer = radapter(*asked, "linear-probe,full")
    assert (answer.code, snapshot(tmp_path / "out")) == (2, before)
    assert "other data. ood/shifted: other images, or in another order." in " ".join(answer.said.split())


@pytest.mark.parametrize(
    "name", ["wise-ft", "full", "r-adapter", "lora", "r-adapter:margin-0", "r-adapter:no-ema"]
)
def test_a_next_step_is_a_run_that_train_accepts_whatever_the_file_fixes(radapter, written, tmp_path, name):
    settings = yaml.safe_load(written.read_text())
    settings["method"] = {"name": "r-adapter", "r": 4}
    settings["select"] = {"alpha": 0.5}
    settings["loss"] = {"name": "mpm-nce", "margin": 0.1, "label_smoothing": 0.01}
    settings["train"] = {**settings["train"], "lr": 0.02, "ema_decay": 0.9}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    given = load_config(tmp_path / "run.yaml")
    words = alone(given, METHODS_ROWS[name], 1e-3)
    config = load_config(tmp_path / "run.yaml", words)
    check_settings(config, METHODS_ROWS[name])
    assert (config.train.lr, config.select.alpha, config.loss.name) == (1e-3, "auto", None)
    rank = getattr(recipe_of(config).of(METHODS_ROWS[name]).settings, "r", None)
    assert rank == {"r-adapter": 4, "r-adapter:margin-0": 4, "r-adapter:no-ema": 4, "lora": 8}.get(name)


COLUMNS = ("ID", "OOD mean", "sketch", "neon", "Trained", "Memory", "poch")


@pytest.mark.parametrize("file", ["results.md", "results.tex"])
def test_tables_have_the_columns_of_the_paper(compared, file):
    lines = (compared[0] / file).read_text().splitlines()
    header = next(line for line in lines if "Method" in line and "Memory" in line)
    assert [column for column in COLUMNS if column not in header] == []
    assert sum(name in line for line in lines for name in ("| wise-ft", "wise-ft &")) >= 1


def test_csv_has_plain_figures_for_every_column(compared):
    with (compared[0] / "results.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    adapted = next(row for row in figures(compared[0])["rows"] if row["method"] == "r-adapter")
    assert float(rows["r-adapter"]["ood:neon"]) == adapted["ood"]["neon"]["top1"]
    assert float(rows["r-adapter"]["ood_mean"]) == adapted["ood_mean"]
    assert all(rows["wise-ft"][key] for key in ("step_bytes", "seconds_per_epoch", "trained_parameters"))


def test_ood_at_fixed_id_levels_leads_the_tables(compared):
    folder, answer = compared
    levels = figures(folder)["levels"]
    assert list(levels["methods"]) == ["wise-ft", "r-adapter"]
    assert all(len(figure["each"]) == 2 for of in levels["methods"].values() for figure in of["ood"])
    assert answer.printed.index("OOD at fixed ID levels") < answer.printed.index("Learning rates")
    page = (folder / "results.md").read_text()
    assert page.index("OOD at fixed ID levels") < page.index("OOD mean")


def test_what_was_kept_is_said_or_that_it_was_not_measured(compared):
    said = " ".join(compared[1].printed.split())
    assert "Kept: not measured; no transfer sets were given (data.transfer)." in said
    assert "no transfer sets were given" in (compared[0] / "results.md").read_text()


def test_killed_and_started_again_it_goes_on_to_the_same_figures(radapter, asked, compared, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "radapter_cli", *asked, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while process.poll() is None and not list(out.glob("trainings/*/*/*/validation.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Continue with the same command" in " ".join(said.split())
    assert not (out / "results.json").exists()
    (done, *_) = out.glob("trainings/*/*/*/validation.json")
    before = done.stat().st_mtime_ns
    assert radapter(*asked, "--out", out).code == 0
    assert done.stat().st_mtime_ns == before
    assert figures(out) == figures(compared[0])


def test_a_finished_comparison_trains_nothing_again_and_tells_robustness_when_asked(
    radapter, asked, compared, tmp_path
):
    folder, _ = compared
    before = {path: path.stat().st_mtime_ns for path in (folder / "trainings").rglob("*")}
    (tmp_path / "standard.csv").write_text("model,id,ood\na,75,50\nb,50,25\n")
    answer = radapter(*asked, "--standard-models", tmp_path / "standard.csv", "--out", folder)
    assert answer.code == 0, answer.result.output
    assert "Robustness: r-adapter effective" in answer.printed
    assert "2 standard models at the same ID" in (folder / "results.md").read_text()
    assert all(row["robustness"]["effective"]["mean"] is not None for row in figures(folder)["rows"])
    assert {path: path.stat().st_mtime_ns for path in (folder / "trainings").rglob("*")} == before


def test_what_a_file_fixes_for_one_training_is_ignored_and_reported(radapter, asked, compared, tmp_path):
    folder, _ = compared
    settings = yaml.safe_load(Path(asked[1]).read_text())
    settings["select"] = {"alpha": 0.5}
    settings["train"] = {**settings.get("train", {}), "lr": 0.02}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    before = {path: path.stat().st_mtime_ns for path in (folder / "trainings").rglob("*")}
    answer = radapter("compare", tmp_path / "run.yaml", *asked[2:], "--out", folder)
    assert answer.code == 0, answer.result.output
    said = " ".join(answer.said.split())
    assert "gives train.lr 0.02, which is ignored" in said
    assert "gives select.alpha 0.5, which is ignored" in said
    assert {path: path.stat().st_mtime_ns for path in (folder / "trainings").rglob("*")} == before


def test_sigterm_while_sets_are_evaluated_stops_too(radapter, asked, tmp_path, monkeypatch):
    from radapter.operations.bars import Bars

    monkeypatch.setattr(Bars, "evaluated", lambda *_: signal.raise_signal(signal.SIGTERM))
    answer = radapter(*asked, "--out", tmp_path / "out")
    assert answer.code == 130
    assert "Continue with the same command" in answer.said


@pytest.mark.parametrize("task", ["retrieval", "segmentation"])
def test_a_comparison_names_data_transfer_only_where_it_is_a_key(radapter, initialised, tmp_path, task):
    answer = radapter(
        *("compare", initialised(task), "data.ood={}", "--methods", "lora", "--out", tmp_path / "out")
    )
    assert answer.code == 2
    assert "must name at least one shifted test set: a comparison" in " ".join(answer.said.split())


NOVEL = "data.transfer={novel: {world: sketch, size: 20, templates: 'a {}.'}}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--methods", "full,wize-ft"), "Got 'wize-ft'. Did you mean 'wise-ft'"),
        (("--methods", "zero-shot"), "must hold one that trains"),
        (("--methods", ","), "must hold one that trains"),
        (("--seeds", "0"), "--seeds"),
        (
            ("--grid", "1e-3,1e-2"),
            "--grid was removed, got '1e-3,1e-2'. Every method is searched at compare.points",
        ),
        (("compare.rates={ful: 1e-3}",), "Got 'ful'. Did you mean 'full'"),
        (("compare.rates={full: 0}",), "compare.rates must be a mapping of methods to learning rates > 0"),
        (
            ("compare.rates={full: 1e-3, wise-ft: 1e-4}",),
            "Got full: 0.001 and wise-ft: 0.0001. Leave one out",
        ),
        (("compare.points=4",), "compare.points must be odd, so that the centre is one of the points"),
        (("--against", "wise-ft"), "No such option: --against"),
        (("data.ood={}",), "data.ood must name at least one shifted test set, or data.transfer"),
        (("data.ood={}",), "under data: ood: {corrupted: {corrupt: id_test}}"),
        (
            (NOVEL, "data.ood={}", "--standard-models", "gone.csv"),
            "--standard-models needs a shifted test set",
        ),
        (("data.ood={same: {world: id_val, size: 40}}",), "in 'same' 40 are also in data.id_val"),
        (("train.keep=last",), "the epoch is chosen for every method"),
        (("loss.margin=0.1", "--methods", "full,wise-ft"), "no method that is compared reads it"),
        (("loss.margin=0.1", "--methods", "r-adapter:margin-0"), "no method that is compared reads it"),
        (("data.id_val=null",), "data.id_val is required"),
        (("select.alpha=0.5",), "alpha is chosen for every method"),
        (("loss.name=clip",), "every method has its own loss"),
        (("train.lr=1e-3",), "compare.rates centres the search"),
        (("train={lr: 1e-3, epochs: 1}",), "compare.rates centres the search"),
        (("--methods", "lp-ft"), "train.epochs must be at least 2 for 'lp-ft'"),
        (("method.r=4", "--methods", "full,lora"), "method.r must be read by a method that is compared"),
        (("train.ema_decay=0.9", "--methods", "r-adapter:no-ema"), "no method that is compared reads it"),
        (("method.r=129",), "method.r must be null or an int in [1, 128]"),
        (("data.id_test={same: {world: train, size: 80}}",), "in 'same' 80 are also in 'train'"),
        (("data.train={world: train, size: 80, shots: 50}",), "distinct images for shots: 50"),
        (("--standard-models", "gone.csv"), "'gone.csv'"),
        (("seed=-1",), "seed must be a whole number in [0, 9223372036854775808)"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(refused, arguments, said):
    assert said in refused(*arguments)


@pytest.mark.parametrize("method", ["lora", "r-adapter"])
def test_a_model_without_a_place_for_adapters_is_refused_by_what_needs_one(refused, monkeypatch, method):
    open_clip = pytest.importorskip("open_clip")
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    monkeypatch.setitem(
        open_clip.factory._MODEL_CONFIGS, "tiny-RN", {**OPEN_CLIP, "vision_cfg": vision, "embed_dim": 256}
    )
    said = refused("model=open_clip:tiny-RN", "--methods", f"full,{method}")
    assert "no adapter site" in said
    assert "ModifiedResNet" in said


def test_a_model_without_a_text_tower_is_refused(refused):
    pytest.importorskip("timm")
    assert "must have a text tower" in refused("model=timm:test_vit", "--methods", "full")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("train.epochs=2",), "train"),
        (("data.templates=['a {}']",), "data"),
    ],
)
def test_a_folder_of_another_configuration_is_refused_and_left_alone(
    snapshot, radapter, asked, compared, changes, said
):
    folder, _ = compared
    before = snapshot(folder)
    answer = radapter(*asked, *changes, "--out", folder)
    assert (answer.code, snapshot(folder)) == (2, before)
    found = " ".join(answer.said.split())
    assert f"holds another comparison: {said}" in found
    assert "Give another --out" in found


def test_a_folder_that_is_no_comparison_is_left_alone(radapter, asked, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    answer = radapter(*asked, "--out", tmp_path)
    assert (answer.code, [file.name for file in tmp_path.iterdir()]) == (2, ["letter.txt"])
    assert "holds something else" in answer.said


def test_soups_never_mix_trainings_of_two_base_models(snapshot, radapter, written, small, tmp_path):
    model, out = clip_folder(tmp_path / "model"), tmp_path / "out"
    base = fingerprint(load(model))
    options = ("--seeds", "1", "--out", out)
    asked = ("compare", written, *small, *QUICK, f"model={model}", CENTRES)
    assert radapter(*asked, "--methods", "full", *options).code == 0
    weights = model / "model.safetensors"
    save_file({n: 1.5 * t for n, t in load_file(weights).items()}, weights, metadata={"format": "pt"})
    before = snapshot(out)
    answer = radapter(*asked, "--methods", "uniform-soup,greedy-soup", *options)
    assert (answer.code, snapshot(out)) == (2, before)
    now = fingerprint(load(model))
    said = " ".join(answer.said.split())
    assert f"base model: fingerprint {base[:16]} before, {now[:16]} now" in said


def test_a_method_of_a_comparison_is_merged_at_its_chosen_alpha(radapter, compared, model, tmp_path):
    folder, answer = compared
    printed = " ".join(answer.printed.split())
    (best,) = re.findall(r"as a run of its own: .* --out runs/(\S+)", printed)
    row = next(row for row in figures(folder)["rows"] if row["method"] == best)
    differs = row["alphas"][0] > 0 or row["selections"][0]["best_alpha"] > 0
    assert (f"radapter merge {folder} --method {best}" in printed) == differs
    chosen = json.loads((folder / "chosen.json").read_text())["methods"]
    for name, seed in (("wise-ft", 1), ("r-adapter", 0)):
        entry = chosen[name][str(seed)]
        to, at = tmp_path / f"{name}-{seed}", max(entry["alpha"], 0.5)
        options = ("--method", name, "--seed", str(seed), "--alpha", f"{at:g}", "--out", to)
        merging = radapter("merge", folder, *options)
        assert merging.code == 0, merging.result.output
        certificate = json.loads((to / "certificate.json").read_text())
        assert (certificate["method"], certificate["alpha"]) == (name, at)
        assert "classifier.safetensors" in {file.name for file in to.iterdir()}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--method must be one of the comparison's: wise-ft, r-adapter. Got none."),
        (("--method", "r-adaptor"), "Did you mean 'r-adapter'?"),
        (("--method", "r-adapter", "--seed", "7"), "--seed must be one of the comparison's: 0, 1. Got 7."),
    ],
)
def test_what_a_comparison_does_not_hold_is_not_merged(radapter, compared, refusal, options, said):
    assert said in refusal(radapter, "merge", compared[0], *options, "--out", "merged")


def test_a_run_has_no_method_to_choose(radapter, refusal, run):
    said = refusal(radapter, "merge", run, "--method", "r-adapter", "--out", "merged")
    assert "--method is for a comparison" in said


def test_verify_reads_the_results_of_a_comparison(radapter, compared, tmp_path):
    out = shutil.copytree(compared[0], tmp_path / "out")
    whole = json.loads(radapter("verify", out, "--json").printed)
    assert whole["whole"]
    assert not any(file["reason"] for file in whole["files"])
    (out / "results.json").write_text('{"schema": 3}')
    found = json.loads(radapter("verify", out, "--json").printed)
    (file,) = (file for file in found["files"] if file["file"] == str(out / "results.json"))
    assert (found["whole"], file["state"]) == (False, "damaged")
    assert "model: field required" in file["reason"]
