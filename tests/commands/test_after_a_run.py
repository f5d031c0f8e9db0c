"""`radapter sweep`, `evaluate`, `merge`, `inspect`: what is done with a run or a model."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel

from radapter.models import load
from radapter.world import TINY, normalised, split

SKETCHES = "sketch={world: sketch, size: 40}"


def test_sweep_shows_every_alpha_and_marks_the_chosen(radapter, run):
    answer = radapter("sweep", run)
    lines = [line.split() for line in answer.printed.splitlines()]
    alphas = [line[0] for line in lines if len(line) >= 4 and line[0].replace(".", "").isdigit()]
    assert alphas == ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]
    assert sum("chosen" in line for line in lines) == 1


def test_sweep_of_a_run_that_trained_nothing_is_refused(radapter, small, written, tmp_path):
    assert radapter("train", written, *small, "method=zero-shot", "--out", tmp_path / "run").code == 0
    answer = radapter("sweep", tmp_path / "run")
    assert answer.code == 2
    assert "a sweep needs a trained method" in answer.said


def test_evaluate_of_a_run_gives_the_reported_accuracy(radapter, run):
    reported = json.loads((run / "results.json").read_text())["rows"][1]["ood"]["sketch"]["top1"]
    answer = radapter("evaluate", run, "--data", SKETCHES)
    line = next(line for line in answer.printed.splitlines() if "r-adapter" in line)
    assert f"{100 * reported:.1f}" in line.split()


def test_evaluate_at_alpha_zero_is_zero_shot(radapter, run):
    answer = radapter("evaluate", run, "--data", SKETCHES, "--alpha", "0")
    rows = [line for line in answer.printed.splitlines() if "zero-shot " in line or "r-adapter " in line]
    accuracies = [re.findall(r"\d+\.\d", row)[0] for row in rows[:2]]
    assert accuracies[0] == accuracies[1]


def test_evaluate_shows_the_metric_that_is_asked_for(radapter, run):
    row = json.loads((run / "results.json").read_text())["rows"][1]
    for metric in ("agreement", "macro_f1", "brier", "nll"):
        reported = row["ood"]["sketch"][metric]
        answer = radapter("evaluate", run, "--data", SKETCHES, "--metric", metric)
        line = next(line for line in answer.printed.splitlines() if "r-adapter" in line)
        assert (f"{reported:.2f}" if metric == "nll" else f"{100 * reported:.1f}") in line.split()


def test_evaluate_proposes_the_nearest_metric(radapter, run):
    answer = radapter("evaluate", run, "--data", SKETCHES, "--metric", "macro-f1")
    assert answer.code == 2
    assert "Did you mean 'macro_f1'" in answer.said


def test_evaluate_shows_the_worst_group_where_there_are_groups(radapter, tmp_path, monkeypatch):
    from miniatures.layouts import add_images

    monkeypatch.chdir(tmp_path)
    add_images(tmp_path / "set", "Art/star/1.jpg", "Art/sun/2.jpg", "Photo/star/3.jpg", "Photo/sun/4.jpg")
    names = ("--templates", "['a {}.']", "--classnames", "[star, sun]", "--metric", "worst_group")
    answer = radapter("evaluate", "world:tiny", "--data", "{layout: domains, path: set}", *names)
    assert answer.code == 0, answer.result.output
    assert "Worst-group accuracy" in answer.printed


def test_evaluate_of_a_model_needs_no_run(radapter):
    answer = radapter("evaluate", "world:tiny", "--data", SKETCHES, "--templates", "['a sketch of a {}.']")
    assert answer.code == 0
    assert "zero-shot" in answer.printed
    assert "radapter init" in answer.printed


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (["{csv: a, folder: b}"], "exactly one of the keys"),
        (["{sketch: 1}"], "--data must be a path"),
        (["a={world: sketch}", "a={world: neon}"], "'a' is repeated"),
        (["nosuch"], "'nosuch' does not"),
    ],
)
def test_evaluate_refuses_what_is_no_data(radapter, data, said):
    options = [word for source in data for word in ("--data", source)]
    answer = radapter("evaluate", "world:tiny", *options)
    assert answer.code == 2
    assert said in answer.said


def test_evaluate_refuses_an_alpha_for_a_model(radapter):
    answer = radapter("evaluate", "world:tiny", "--data", SKETCHES, "--alpha", "0.5")
    assert answer.code == 2
    assert "--alpha is for a run" in answer.said


def test_merge_writes_a_model_that_transformers_loads_alone(radapter, run, tmp_path):
    answer = radapter("merge", run, "--alpha", "1", "--out", tmp_path / "merged")
    assert answer.code == 0, answer.result.output
    merged = CLIPModel.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    base = CLIPModel.from_pretrained(TINY, dtype=torch.float32)
    changed = [
        name for name, tensor in merged.state_dict().items() if not tensor.equal(base.state_dict()[name])
    ]
    assert changed
    assert all("out_proj" in name or "fc2" in name for name in changed)
    assert "AutoModel.from_pretrained" in answer.printed


@pytest.mark.parametrize(
    ("method", "alpha"),
    [
        pytest.param("wise-ft", 0.5, marks=pytest.mark.slow),
        pytest.param("lora", 0.5, marks=pytest.mark.slow),
        ("r-adapter", 0.5),
        ("r-adapter+head", 0.5),
    ],
)
def test_a_merged_run_classifies_with_transformers_alone(radapter, written, small, tmp_path, method, alpha):
    out, merged = tmp_path / "run", tmp_path / "merged"
    settings = (f"method={method}", f"select.alpha={alpha}")
    assert radapter("train", written, *small, *settings, "--out", out).code == 0
    assert radapter("merge", out, "--out", merged).code == 0
    model = CLIPModel.from_pretrained(merged, dtype=torch.float32).eval()
    classifier = load_file(merged / "classifier.safetensors")
    sketches = split("sketch", seed=0, size=40)
    with torch.no_grad():
        features = model.get_image_features(pixel_values=normalised(sketches.images)).pooler_output
    logits = classifier["logit_scale"] * normalize(features, dim=-1) @ classifier["weight"].T
    logits += classifier["bias"]
    assert tuple(json.loads((merged / "classes.json").read_text())) == tuple(sketches.classnames)
    reported = json.loads((out / "results.json").read_text())["rows"][1]["ood"]["sketch"]
    assert (logits.argmax(1) == sketches.labels).double().mean().item() == pytest.approx(reported["top1"])
    assert cross_entropy(logits, sketches.labels).item() == pytest.approx(reported["nll"], rel=1e-4)


def test_merge_at_alpha_zero_gives_the_base_model(radapter, run, tmp_path):
    assert radapter("merge", run, "--alpha", "0", "--out", tmp_path / "merged").code == 0
    pixels = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        merged, base = (load(name).encode_image(pixels) for name in (tmp_path / "merged", "world:tiny"))
    assert torch.equal(merged, base)


def test_merge_to_open_clip_is_loaded_again(radapter, run, tmp_path):
    pytest.importorskip("open_clip")
    answer = radapter("merge", run, "--alpha", "0.5", "--out", tmp_path / "merged", "--format", "open_clip")
    assert answer.code == 0, answer.result.output
    assert load(tmp_path / "merged").library == "open_clip"
    assert f"open_clip.create_model_from_pretrained('local-dir:{tmp_path}/merged')" in answer.printed


def test_merge_to_open_clip_warns_of_captions_with_other_tokens(run, tmp_path):
    pytest.importorskip("open_clip")
    command = [sys.executable, "-m", "radapter_cli", "merge", run, "--out", tmp_path / "m", "--alpha", "1"]
    done = subprocess.run([*command, "--format", "open_clip"], capture_output=True, text=True, check=True)
    assert re.search(r"7 of 25 test captions have\s+other tokens", done.stderr)
    assert "rock &amp; roll" in done.stderr


@pytest.mark.parametrize("command", ["inspect", "methods"])
def test_a_run_given_as_a_model_names_merge(radapter, run, command):
    answer = radapter(command, run)
    assert answer.code == 2
    assert f"radapter merge {run} --out MERGED" in answer.said


def test_inspect_of_an_uncached_open_clip_repository_is_a_wrong_input(radapter):
    pytest.importorskip("open_clip")
    answer = radapter("inspect", "open_clip:hf-hub:nobody/nothing")
    assert answer.code == 2
    assert "allow_download: true" in answer.said


def test_inspect_prints_sites_and_parameters(radapter):
    answer = radapter("inspect", "world:tiny", "--r", "4")
    assert answer.code == 0
    sites = 2 * (4 + 2)
    assert f"{sites * (2 * 4 * 128 + 1):,} parameters" in answer.printed
    assert "out_proj" in answer.printed
    assert f"Merged into {2 * sites} of its own tensors" in answer.printed


def test_inspect_prints_what_fits_the_model_next(radapter, here):
    shown = radapter("inspect", "world:tiny").printed
    for task in ("classification", "retrieval"):
        assert f"radapter init {task} --out run.yaml && radapter train run.yaml model=world:tiny" in shown
    pytest.importorskip("timm")
    shown = radapter("inspect", "timm:vit_tiny_patch16_224").printed
    assert "radapter init" not in shown  # its one tower reads no class names
    assert "peft.get_peft_model(module, radapter.RAdapterConfig())" in shown


def test_inspect_refuses_a_rank_above_the_width(radapter):
    answer = radapter("inspect", "world:tiny", "--r", "129")
    assert answer.code == 2
    assert "129" in answer.said


def test_demo_leaves_a_folder_that_is_not_its_own_alone(radapter, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    answer = radapter("demo", "--out", tmp_path)
    assert (answer.code, [file.name for file in tmp_path.iterdir()]) == (2, ["letter.txt"])


def test_a_copied_run_serves_as_well(radapter, run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    assert radapter("sweep", tmp_path / "copy").code == 0


def test_a_run_is_used_from_another_folder(radapter, written, small, tmp_path, monkeypatch):
    shutil.copytree(TINY, tmp_path / "clip")
    monkeypatch.chdir(tmp_path)
    assert radapter("train", written, *small, "model=clip", "--out", "run").code == 0
    monkeypatch.chdir(tmp_path.parent)
    run = tmp_path / "run"
    assert radapter("merge", run, "--alpha", "0.5", "--out", tmp_path / "merged").code == 0
    assert radapter("evaluate", run, "--data", SKETCHES).code == 0


@pytest.fixture
def at_zero(run, tmp_path):
    """A run whose alpha is 0, as its files have it where validation cannot tell the alphas apart."""
    folder = tmp_path / "at-zero"
    shutil.copytree(run, folder)
    (folder / "manifest.json").unlink()  # changed on purpose
    about, results = (json.loads((folder / name).read_text()) for name in ("trained.json", "results.json"))
    kept = {"best_alpha": 0.8, "best_score": 0.9, "score": 0.875, "paired_error": 0.03, "n": 40}
    about["alpha"] = results["rows"][1]["alpha"] = 0.0
    results["selection"] |= kept
    results["rows"][1] |= {"alphas": [0.0], "selections": [results["selection"]]}
    (folder / "trained.json").write_text(json.dumps(about))
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def test_merge_at_a_chosen_alpha_of_zero_is_refused(radapter, at_zero, refusal):
    said = refusal(radapter, "merge", at_zero, "--out", "merged")
    assert "merging would write the zero-shot model" in said
    assert "--alpha 0.8" in said


def test_alpha_zero_is_merged_where_it_is_given(radapter, at_zero, tmp_path):
    answer = radapter("merge", at_zero, "--alpha", "0", "--out", tmp_path / "merged")
    assert answer.code == 0, answer.result.output
    assert "at alpha 0" in answer.printed


def test_sweep_says_in_words_that_zero_shot_was_kept(radapter, at_zero, here):
    printed = " ".join(radapter("sweep", at_zero).printed.split())
    assert "r-adapter: alpha 0 was chosen, so the zero-shot model was kept unchanged" in printed
    assert "the best alpha, 0.8, scores 2.5 points more" in printed
    assert f"a plain checkpoint: radapter merge {at_zero} --alpha 0.8 --out merged" in printed
    assert "alpha 0 was chosen" in (at_zero / "results.md").read_text()


def test_a_suggested_name_is_free(radapter, at_zero, here):
    (here / "merged").mkdir()
    (here / "run.yaml").touch()
    (here / "run-2.yaml").touch()
    assert "--alpha 0.8 --out merged-2" in radapter("sweep", at_zero).printed
    printed = radapter("inspect", "world:tiny").printed
    assert "--out run-3.yaml && radapter train run-3.yaml model=world:tiny" in printed
