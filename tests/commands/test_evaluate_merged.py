"""`radapter evaluate` of what `radapter merge` wrote, and the table of its sets."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from radapter.runs.weights import read_about
from radapter.world import split

PLACES = {"id_test": "{world: id_test, size: 40}", "sketch": "{world: sketch, size: 40}"}
DATA = [word for name, spec in PLACES.items() for word in ("--data", f"{name}={spec}")]
RUNS = {
    "linear-probe": ("select.alpha=1", "train.lr=0.1"),
    "wise-ft": ("select.alpha=0.5", "train.lr=1e-3"),
    "r-adapter": ("select.alpha=0.5", "train.lr=1e-2", "data.templates=['a photo of a {}.']"),
}


@pytest.fixture(scope="module")
def merged(radapter, finished, written, small, tmp_path_factory):
    """Gives a run of a method and the folder it was merged into; each is made once."""
    made = {}

    def of(method: str):
        if method not in made:
            run = finished(written, *small, f"method={method}", *RUNS[method])
            to = tmp_path_factory.mktemp("merged") / "model"
            assert radapter("merge", run, "--out", to).code == 0
            made[method] = run, to
        return made[method]

    return of


@pytest.fixture
def probe(merged, tmp_path):
    """A copy of a merged linear probe."""
    shutil.copytree(merged("linear-probe")[1], tmp_path / "probe")
    return tmp_path / "probe"


def rows_of(answer) -> dict[str, list[str]]:
    """The cells of the table by the text before its first number or dash."""
    lines = (re.split(r"\s{2,}", line.strip()) for line in answer.printed.splitlines())
    return {line[0]: line[1:] for line in lines if len(line) > 1}


@pytest.mark.parametrize("method", RUNS)
def test_a_merged_folder_has_the_figures_of_its_run(radapter, merged, method):
    run, folder = merged(method)
    zero_shot, reported = json.loads((run / "results.json").read_text())["rows"]
    rows = rows_of(radapter("evaluate", folder, *DATA))
    expected = [f"{100 * reported[role][name]['top1']:.1f}" for role, name in _SETS]
    assert rows[f"{method} (merged)"] == [f"{reported['alpha']:g}", *expected]
    assert [zero_shot[role][name]["top1"] for role, name in _SETS] != [
        reported[role][name]["top1"] for role, name in _SETS
    ]


_SETS = (("id", "id_test"), ("ood", "sketch"))


def test_classes_in_another_order_are_the_same_classes(radapter, probe, here):
    sketches = split("sketch", seed=0, size=40)
    table = ["image,label"]
    for number, (image, label) in enumerate(zip(sketches.images, sketches.labels, strict=True)):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(here / f"{number}.png")
        table.append(f"{number}.png,{sketches.classnames[label]}")
    (here / "labels.csv").write_text("\n".join(table))
    reverse = ", ".join(reversed(sketches.classnames))
    answer = radapter("evaluate", probe, *DATA, "--data", f"other={{csv: labels.csv, classes: [{reverse}]}}")
    found = rows_of(answer)["linear-probe (merged)"]
    assert found[2] == found[3]


def test_other_classes_are_measured_by_a_zero_shot_head_and_it_says_why(radapter, probe):
    answer = radapter("evaluate", probe, "--data", "{world: sketch, size: 40, labels: {star: comet}}")
    assert answer.code == 0, answer.result.output
    said = " ".join(answer.printed.split())
    assert f"The classifier of '{probe}' is not used, but a zero-shot head: the classes of" in said
    assert "mapped to comet" in said
    assert rows_of(answer).keys() >= {"zero-shot", "n"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--templates", "['a {}.']"), "--templates is given."),
        (("--classnames", "[sun, star]"), "--classnames gives 2 names that are not its 20."),
    ],
)
def test_options_win_over_the_classifier(radapter, probe, options, reason):
    data = "{world: sketch, size: 40, classes: [%s], shared: true}" % ", ".join(  # noqa: UP031
        split("sketch", seed=0, size=1).classnames
    )
    answer = radapter("evaluate", probe, "--data", data, *options)
    assert answer.code == 0, answer.result.output
    assert f"is not used, but a zero-shot head: {reason}" in " ".join(answer.printed.split())
    assert "zero-shot" in rows_of(answer)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda t: {**t, "weight": t["weight"][:5]}, "must hold {'weight': (20, 128), 'bias': (20,)"),
        (lambda t: {**t, "weight": t["weight"][:, :5].contiguous()}, "and the 128 features of the model"),
        (lambda t: {k: v for k, v in t.items() if k != "bias"}, "Merge the run again"),
        (lambda t: {**t, "bias": t["bias"] / 0}, "must hold finite numbers"),
    ],
)
def test_a_classifier_that_does_not_fit_is_refused(radapter, probe, damage, said):
    file = probe / "classifier.safetensors"
    save_file(damage(load_file(file)), file)
    for record in ("manifest.json", "certificate.json"):  # changed on purpose
        (probe / record).unlink()
    answer = radapter("evaluate", probe, *DATA)
    assert answer.code == 2, answer.result.output
    assert said in " ".join(answer.said.split())


@pytest.mark.parametrize("name", ["classifier.safetensors", "classes.json", "certificate.json"])
def test_a_truncated_file_of_a_merged_folder_is_an_input_error(radapter, probe, name):
    content = (probe / name).read_bytes()
    (probe / name).write_bytes(content[: len(content) // 2])
    answer = radapter("evaluate", probe, *DATA)
    assert answer.code == 2, answer.result.output
    assert name in answer.said.replace("\n", "")


@pytest.mark.parametrize("name", ["classifier.safetensors", "classes.json"])
def test_half_a_classifier_is_an_input_error(radapter, probe, name):
    (probe / name).unlink()
    answer = radapter("evaluate", probe, *DATA)
    assert (answer.code, name in answer.said.replace("\n", "")) == (2, True)


def test_the_snippet_of_the_deploy_page_gives_the_figures_of_evaluate_bias_included(
    merged, tmp_path, monkeypatch
):
    run, folder = merged("linear-probe")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "merged")
    page = Path(__file__).parents[2] / "docs" / "tutorials" / "deploy.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    snippet = {}
    exec(next(block for block in blocks if "merged/classifier" in block), snippet)
    assert snippet["classifier"]["bias"].abs().max() > 0.01
    sketches = split("sketch", seed=0, size=40)
    images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in sketches.images]
    with torch.no_grad():
        logits = snippet["probabilities"](images).log() * snippet["classifier"]["temperature"]
    reported = json.loads((run / "results.json").read_text())["rows"][1]["ood"]["sketch"]
    assert (logits.argmax(1) == sketches.labels).double().mean().item() == pytest.approx(reported["top1"])
    assert cross_entropy(logits, sketches.labels).item() == pytest.approx(reported["nll"], rel=1e-4)


def test_the_table_has_a_column_for_each_set_under_its_name_and_how_many_images(radapter, run):
    answer = radapter("evaluate", run, "--data", "neon={world: neon, size: 30}", *DATA)
    assert answer.code == 0, answer.result.output
    rows = rows_of(answer)
    assert rows["Method"] == ["Alpha", "neon", "id_test", "sketch"]
    assert rows["n"] == ["30", "40", "40"]
    assert rows.keys() >= {"zero-shot", "r-adapter"}


def test_a_run_without_data_is_measured_on_its_own_sets_with_their_roles(radapter, run):
    rows = rows_of(radapter("evaluate", run))
    reported = json.loads((run / "results.json").read_text())["rows"][1]
    assert rows["Method"] == ["Alpha", "id_test (ID)", "sketch (OOD)"]
    expected = [f"{100 * reported[role][name]['top1']:.1f}" for role, name in _SETS]
    assert rows["r-adapter"] == [f"{reported['alpha']:.2g}", *expected]


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("world:tiny", (), "--data is needed for a model. 'world:tiny' is one."),
        ("RUN", ("--classnames", "[sun]"), "--classnames and --task need --data."),
        ("RUN", ("--task", "retrieval"), "--classnames and --task need --data."),
    ],
)
def test_what_needs_data_says_so(radapter, run, what, options, said):
    answer = radapter("evaluate", run if what == "RUN" else what, *options)
    assert answer.code == 2
    assert said in " ".join(answer.said.split())


def test_the_next_step_keeps_the_alpha_that_was_evaluated(radapter, run):
    at_other = radapter("evaluate", run, "--data", PLACES["sketch"], "--alpha", "0.3").printed
    assert f"radapter merge {run} --alpha 0.3 --out merged" in at_other


def test_at_the_zero_shot_model_the_next_step_is_the_sweep(radapter, run):
    assert read_about(run)["alpha"] == 0
    printed = radapter("evaluate", run, "--data", PLACES["sketch"]).printed
    assert f"radapter sweep {run}" in printed
    assert "radapter merge" not in printed


def test_overrides_replace_settings_of_the_run(radapter, run):
    answer = radapter("evaluate", run, "data.ood={neon: {world: neon, size: 20}}", "--json")
    row = json.loads(answer.result.stdout)["rows"][-1]
    assert list(row["ood"]) == ["neon"]
    assert row["ood"]["neon"]["n"] == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["train.lr=1"],
            "evaluate reads model, data, regions of a run's settings. Got 'train.lr=1'. Leave it out.",
        ),
        (
            ["data.ood={}", "--data", "{world: neon, size: 20}"],
            "evaluate --data reads model, data.max_bad, data.max_pixels, data.join_captions, regions of a run's "
            "settings. Got 'data.ood={}'. Leave it out.",
        ),
        (["data.max_pixels=100000", "--data", "{world: neon, size: 20}"], ""),
        (["data.max_bad=2"], "data.max_bad must be a number in [0, 1]. Got 2"),
        (["photos"], "override must be key=value"),
    ],
)
def test_overrides_of_what_evaluate_does_not_read_are_refused(radapter, run, words, said):
    answer = radapter("evaluate", run, *words)
    assert answer.code == (2 if said else 0)
    assert said in answer.said


def test_overrides_need_a_run(radapter):
    answer = radapter("evaluate", "world:tiny", "data.max_bad=0.1")
    assert answer.code == 2
    assert "'world:tiny' is a model. Leave 'data.max_bad=0.1' out" in answer.said
