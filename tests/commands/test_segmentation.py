"""Segmentation by command: init, train, sweep, evaluate, merge, compare, methods; and what is refused."""

import json
from pathlib import Path

import pytest
from PIL import Image

SMALL = (
    "train.epochs=1",
    "train.batch_size=8",
    "data.train={from_masks: {world: scenes, styles: photo, size: 20, background: false}}",
    "data.id_val={world: scenes, styles: photo, size: 6, seed: 1, background: false}",
    "data.id_test={world: scenes, styles: photo, size: 6, seed: 2, background: false}",
    "data.ood={sketch: {world: scenes, styles: sketch, size: 6, background: false}}",
    "regions.square=true",
    "regions.expand=1.3",
)
SKETCHES = "sketch={world: scenes, styles: sketch, size: 6, background: false}"


@pytest.fixture(scope="module")
def written(tmp_path_factory, radapter) -> Path:
    """What `radapter init segmentation` writes."""
    path = tmp_path_factory.mktemp("init") / "run.yaml"
    assert radapter("init", "segmentation", "--out", path).code == 0
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, radapter, written) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "regions"
    answer = radapter("train", written, *SMALL, "--out", folder)
    assert answer.code == 0, answer.result.output
    return folder


def row_of(answer, first: str) -> list[str]:
    return next(line.split() for line in answer.printed.splitlines() if line.split()[:1] == [first])


def test_a_run_leaves_results_tables_with_oracles_and_a_plot(run):
    results = json.loads((run / "results.json").read_text())
    assert (results["task"], results["selection"]["split"]) == ("segmentation", "id_val")
    assert "one paired standard error of the best mIoU" in results["selection"]["rule"]
    page = (run / "results.md").read_text()
    assert "mIoU in %, detectron2's convention" in page
    for row in ("zero-shot, true masks", "r-adapter, true masks", "proposals, true classes"):
        assert f"| {row} |" in page
    assert "`sketch`, out of distribution: IoU of each class in %." in page
    assert (run / "frontier.png").is_file()


def test_sweep_shows_miou_at_every_alpha(radapter, run):
    answer = radapter("sweep", run)
    assert answer.code == 0
    assert "r-adapter: mIoU in %" in answer.printed
    assert sum(line.split()[-1:] == ["chosen"] for line in answer.printed.splitlines()) == 1


def test_evaluate_of_a_run_gives_the_reported_figure_and_the_oracles(radapter, run):
    reported = json.loads((run / "results.json").read_text())["rows"][0]["ood"]["sketch"]
    answer = radapter("evaluate", run, "--data", SKETCHES)
    assert answer.code == 0, answer.result.output
    assert f"{100 * reported['miou']:.1f}" in row_of(answer, "zero-shot")
    assert row_of(answer, "proposals,")[-1] == f"{100 * reported['true_classes_miou']:.1f}"


def test_evaluate_of_a_model_on_files_says_its_task_and_convention(radapter, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        Image.new("RGB", (24, 20), (80 * number, 10, 90)).save(tmp_path / "images" / f"{number}.png")
        Image.new("L", (24, 20), number % 2).save(tmp_path / "masks" / f"{number}.png")
    spec = f"{{masks: {tmp_path / 'masks'}, images: {tmp_path / 'images'}, classes: [star, sun]}}"
    answer = radapter(
        "evaluate", "world:tiny", "--task", "segmentation", "--data", spec, "--metric", "miou_ovseg"
    )
    assert answer.code == 0, answer.result.output
    assert "OVSeg's convention" in " ".join(answer.printed.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metric", "top1"), "--metric must be one of miou"),
        (("--classnames", "[a]"), "--classnames is for classification"),
        (("--data", "a/folder"), "--data must be a YAML mapping such as '{masks: "),
    ],
)
def test_what_the_task_lacks_is_refused(radapter, run, options, said):
    answer = radapter("evaluate", run, "--data", SKETCHES, *options)
    assert answer.code == 2
    assert said in answer.said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.unseen=[bota]", "data.unseen must hold nouns of data.train. Got 'bota'. Did you mean 'boat'"),
        ("data.train={from_masks: {world: scenes, sise: 3}}", "unknown key 'data.train.from_masks.sise'"),
        ("data.train={world: scenes}", "exactly one of the keys 'mined', 'mine', 'from_masks'"),
        ("data.train={mined: nowhere}", "nowhere"),
        ("data.id_test={world: scenes, only: [bota]}", "only and without must hold classes"),
        ("regions.scales=[]", "regions.scales"),
        ("method=flyp", "method must be one of zero-shot, full-image-tower, lora"),
    ],
)
def test_a_wrong_setting_is_an_error_and_nothing_is_written(radapter, written, tmp_path, override, said):
    answer = radapter("train", written, *SMALL, override, "--out", tmp_path / "out")
    assert (answer.code, (tmp_path / "out").exists()) == (2, False), answer.result.output
    assert said in answer.said


def test_merge_writes_the_encoder_alone(radapter, run, tmp_path):
    answer = radapter("merge", run, "--alpha", "0.5", "--out", tmp_path / "merged")
    assert answer.code == 0, answer.result.output
    assert not (tmp_path / "merged" / "classes.json").exists()


def test_methods_lists_those_of_the_task(radapter):
    answer = radapter("methods", "--task", "segmentation")
    assert answer.code == 0
    assert {"full-image-tower", "lora", "wise-ft", "r-adapter"} <= set(answer.printed.split())
    assert "linear-probe" not in answer.printed


def test_compare_of_methods_leaves_a_table_with_oracles(radapter, written, tmp_path):
    answer = radapter(
        "compare", written, *SMALL, "--methods", "full-image-tower,wise-ft", "--seeds", "1", "compare.points=1",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert answer.code == 0, answer.result.output
    page = (tmp_path / "out" / "results.md").read_text()
    assert "mIoU on ID validation at alpha 1" in page
    assert "| proposals, true classes |" in page


def test_segment_frames_regions_as_the_run_was_trained(radapter, run, tmp_path, monkeypatch):
    from radapter import segmentation

    given = {}

    class Recorded(segmentation.RegionClassifier):
        def __init__(self, *args, **options):
            given.update(options)
            super().__init__(*args, **options)

    monkeypatch.setattr(segmentation, "RegionClassifier", Recorded)
    Image.new("RGB", (48, 40), (200, 30, 30)).save(tmp_path / "red.png")
    answer = radapter(
        "segment", run, "--data", tmp_path / "red.png", "--classes", "star, sun", "--out", tmp_path / "o.png"
    )
    assert answer.code == 0, answer.result.output
    assert (given["style"].expand, given["style"].square) == (1.3, True)


MINED = (
    "data.train={mine: {world: scenes, styles: photo, size: 40}, to: mined, floor: -1.0, margin: -1.0}",
    "data.unseen=[]",
)


def test_regions_are_mined_before_training_and_read_the_next_time(radapter, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert radapter("train", written, *SMALL, *MINED, "--out", "first").code == 0
    shard = (tmp_path / "mined" / "00000.tar").stat()
    answer = radapter("train", written, *SMALL, *MINED, "--out", "second")
    assert answer.code == 0, answer.result.output
    assert (tmp_path / "mined" / "00000.tar").stat().st_mtime_ns == shard.st_mtime_ns
    first, second = (json.loads((tmp_path / run / "results.json").read_text()) for run in ("first", "second"))
    assert first["sweep"] == second["sweep"]
    read = radapter("train", written, *SMALL, "data.train={mined: mined}", "data.unseen=[]", "--out", "third")
    assert read.code == 0, read.result.output
    assert json.loads((tmp_path / "third" / "results.json").read_text())["sweep"] == first["sweep"]


def test_a_scene_that_was_mined_may_not_be_tested_on(radapter, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leaking = "data.ood={a: {world: scenes, styles: photo, size: 40, background: false}}"
    answer = radapter("train", written, *SMALL, *MINED, leaking, "--out", "out")
    assert answer.code == 2
    assert "are also in 'train'" in answer.said


@pytest.fixture(scope="module")
def prompted(run, radapter):
    """What was printed when mask prompts were trained for the run."""
    weights = (run / "adapter" / "adapter_model.safetensors").read_bytes()
    answer = radapter("prompts", run, "train.epochs=2", "train.workers=1")
    assert answer.code == 0, answer.result.output
    assert (run / "adapter" / "adapter_model.safetensors").read_bytes() == weights
    return answer


def test_prompts_are_measured_beside_the_fill_on_every_set(run, prompted):
    figures = json.loads((run / "mask_prompts.json").read_text())
    row = next(
        row for row in json.loads((run / "results.json").read_text())["rows"] if row["method"] == "r-adapter"
    )
    assert list(figures) == ["id_val", "id_test", "sketch"]
    assert figures["id_test"]["without"] == pytest.approx(row["id"]["id_test"]["miou"], abs=1e-6)
    assert figures["sketch"]["without"] == pytest.approx(row["ood"]["sketch"]["miou"], abs=1e-6)
    assert any(of["with"] != of["without"] for of in figures.values())
    assert row_of(prompted, "sketch")[1:3] == [
        f"{100 * figures['sketch'][way]:.1f}" for way in ("without", "with")
    ]


def test_prompts_refuse_settings_that_they_do_not_read(radapter, run):
    answer = radapter("prompts", run, "train.lr=1e-3")
    assert answer.code == 2
    assert "prompts reads seed, data, regions" in answer.said
    assert "Got 'train.lr=1e-3'. Leave it out." in answer.said


def test_segment_takes_the_prompts_that_were_trained(radapter, run, prompted, tmp_path):
    Image.new("RGB", (48, 48), (90, 10, 30)).save(tmp_path / "a.png")
    answer = radapter(
        "segment", run, "--data", tmp_path / "a.png", "--classes", "star, sun", "--out", tmp_path / "out.png",
        "--mask-prompts", run / "mask_prompts.safetensors",
    )  # fmt: skip
    assert answer.code == 0, answer.result.output


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--lr", "0"), "--lr must be a number above 0"),
        (("--depth", "9"), "depth must be in [1, 4], the tower's blocks. Got 9"),
    ],
)
def test_prompts_refuse_settings_and_leave_the_run_alone(radapter, run, snapshot, more, said):
    before = snapshot(run)
    answer = radapter("prompts", run, *more)
    assert (answer.code, snapshot(run)) == (2, before)
    assert said in " ".join(answer.said.split())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("method=zero-shot",), "is a run of zero-shot. Train another method"),
        (("data.id_val=null", "select.alpha=0.5"), "need data.id_val to choose their epoch"),
    ],
)
def test_prompts_say_which_runs_they_need(radapter, written, tmp_path, snapshot, overrides, said):
    assert radapter("train", written, *SMALL, *overrides, "--out", tmp_path / "run").code == 0
    before = snapshot(tmp_path / "run")
    answer = radapter("prompts", tmp_path / "run")
    assert (answer.code, snapshot(tmp_path / "run")) == (2, before)
    assert said in " ".join(answer.said.split())


def test_prompts_need_a_finished_run_of_segmentation(radapter, tmp_path):
    answer = radapter("prompts", tmp_path)
    assert (answer.code, "has no results.json" in answer.said) == (2, True)
    (tmp_path / "comparison.yaml").write_text("methods: [full]")
    answer = radapter("prompts", tmp_path)
    assert (answer.code, "It is a comparison's" in " ".join(answer.said.split())) == (2, True)
