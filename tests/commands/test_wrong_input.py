"""Wrong input: exit code 2, a line that names it and the remedy, nothing written or changed."""

import pickle
import shutil
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from radapter.world import TINY

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def refused(radapter, refusal, small, written):
    """Trains with overrides, and gives what was said when it was refused before anything was written."""
    return partial(refusal, radapter, "train", written, *small, "out=out")


def photos(folder: Path, *names: str, count: int = 2) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (16, 16), (40 * number, 10 * len(name), 0)).save(folder / name / f"{number}.png")
    return folder


def test_unknown_key_is_named_with_its_line_and_the_nearest(radapter, here):
    (here / "run.yaml").write_text("model: world:tiny\nmetod: full\n")
    answer = radapter("train", "run.yaml")
    assert answer.code == 2
    assert "run.yaml:2: unknown key 'metod'. Did you mean 'method'?" in answer.said
    assert not (here / "runs").exists()


def test_wrong_type_is_named_with_what_it_must_be(refused):
    said = refused("train.epochs=two")
    assert (
        "override 'train.epochs=two': train.epochs must be a whole number in [1, 1000000]. Got 'two'." in said
    )


def test_unknown_method_proposes_the_nearest(refused):
    assert "Did you mean 'r-adapter'" in refused("method=r-adaptor")


def test_unknown_model_proposes_the_nearest(refused):
    said = refused("model=world:tinny")
    assert "Got 'world:tinny'" in said
    assert "Did you mean 'world:tiny'?" in said


def test_unknown_open_clip_architecture_proposes_the_nearest(refused):
    pytest.importorskip("open_clip")
    assert "ViT-B-16" in refused("model=open_clip:ViTB-16")


def test_missing_weights_file_is_named(refused):
    pytest.importorskip("open_clip")
    assert "missing.pt" in refused("model=open_clip:ViT-B-32/missing.pt")


def test_truncated_weights_file_is_named(refused, here):
    shutil.copytree(TINY, here / "model")
    weights = here / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "model.safetensors" in refused("model=model")


def test_bare_pickle_is_refused_with_how_to_convert(refused, here):
    pytest.importorskip("open_clip")
    (here / "evil.pt").write_bytes(pickle.dumps({"run": Path.unlink}))
    said = refused("model=open_clip:ViT-B-32/evil.pt")
    assert "was not opened" in said
    assert "safetensors" in said


def test_empty_class_folder_is_named_and_counted(refused, here):
    photos(here / "photos", "cat", "dog")
    for name in ("eel", "fox", "gnu", "hen"):
        (here / "photos" / name).mkdir()
    said = refused("data.train=photos", "data.classnames=null")
    assert "4 of 6" in said
    assert "'eel', 'fox', 'gnu'" in said
    assert "hen" not in said


def test_label_outside_the_class_list_is_named(refused, here):
    photos(here / "photos", "cat", "dog")
    said = refused("data.train=photos", "data.classnames=[cat, cow]")
    assert "dog" in said


def test_duplicate_class_names_are_named(refused, here):
    photos(here / "photos", "cat", "dog")
    assert "cat" in refused("data.train=photos", "data.classnames=[cat, dog, cat]")


def test_test_classes_that_training_lacks_are_named_with_how_to_map_them(refused, here):
    photos(here / "train", "cat", "dog")
    photos(here / "test", "cat", "puppy")
    said = refused("data.train=train", "data.id_val=train", "data.id_test=train", "data.ood={other: test}")
    assert "puppy" in said
    assert "labels" in said


@pytest.mark.parametrize(
    ("override", "name", "range_", "value"),
    [
        ("method.r=129", "method.r", "[1, 128]", "129"),
        ("select.alpha=1.5", "select.alpha", "[0, 1]", "1.5"),
        ("method.drop=1.0", "method.drop", "[0, 1)", "1.0"),
    ],
)
def test_value_out_of_range_is_reported_with_name_range_and_value(refused, override, name, range_, value):
    said = refused(override)
    assert f"{name} must be" in said
    assert range_ in said
    assert f"Got {value}." in said


@pytest.mark.parametrize("command", ["merge", "evaluate"])
def test_alpha_of_a_command_is_checked(radapter, run, here, command):
    options = ["--out", "merged"] if command == "merge" else ["--data", "{world: sketch}"]
    answer = radapter(command, run, "--alpha", "1.5", *options)
    assert (answer.code, list(here.iterdir())) == (2, [])
    assert "alpha must be in [0, 1]. Got 1.5." in answer.said


@pytest.mark.parametrize(
    "command",
    [
        "train RUN.YAML model=world:tinny --out",
        "compare RUN.YAML model=world:tinny --out",
        "merge RUN --alpha 0.5 --out",
        "demo --out",
        "shards nowhere --out",
        "mine nowhere.csv --out",
        "segment world:tinny --data photos --classes sky,road --out",
        "segment world:tinny --data photos/0.png --classes sky,road --out",
    ],
)
def test_a_place_below_a_file_is_refused_before_any_work(radapter, refusal, run, written, here, command):
    photos(here / "photos", "cat")
    (here / "photos" / "0.png").touch()
    (here / "pairs.csv").touch()
    words = [{"RUN.YAML": written, "RUN": run}.get(word, word) for word in command.split()]
    said = refusal(radapter, *words, "pairs.csv/out.png")
    assert "output must lie in a folder that can be written." in said


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_run_folder_with_other_settings_is_refused(snapshot, radapter, small, run, written, resume):
    before = snapshot(run)
    answer = radapter("train", written, *small, "train.lr=0.5", "--out", run, *resume)
    assert answer.code == 2
    assert "other settings: train.lr: 0.5, there None" in answer.said
    assert "--out" in answer.said
    assert snapshot(run) == before


def test_run_folder_with_the_same_settings_is_not_overwritten(snapshot, radapter, small, run, written):
    before = snapshot(run)
    answer = radapter("train", written, *small, "--out", run)
    assert (answer.code, snapshot(run)) == (2, before)
    assert "--resume" in answer.said


def test_folder_that_is_no_run_is_left_alone(refused, here):
    (here / "out").mkdir()
    (here / "out" / "letter.txt").write_text("dear")
    assert "holds something else" in refused()


def test_merge_on_another_base_model_tells_both_fingerprints(radapter, run, here):
    from radapter.models import fingerprint, load
    from radapter.storage import read_json

    shutil.copytree(TINY, here / "model")
    weights = here / "model" / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor * 1.5 for name, tensor in tensors.items()}, weights, metadata={"format": "pt"})
    shutil.copytree(run, here / "run")
    about = read_json(here / "run" / "trained.json")
    config = here / "run" / "config.yaml"
    config.write_text(config.read_text().replace("model: world:tiny", f"model: {here / 'model'}"))
    answer = radapter("merge", here / "run", "--alpha", "0.5", "--out", here / "merged")
    assert answer.code == 2
    assert about["fingerprint"] in answer.said
    assert fingerprint(load(here / "model")) in answer.said
    assert not (here / "merged").exists()


def test_merge_into_a_folder_that_exists_is_refused(radapter, run, here):
    (here / "merged").mkdir()
    (here / "merged" / "letter.txt").write_text("dear")
    answer = radapter("merge", run, "--alpha", "0.5", "--out", "merged")
    assert answer.code == 2
    assert [file.name for file in (here / "merged").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("command", [("sweep",), ("merge", "--out", "merged")])
def test_a_folder_that_is_no_finished_run_is_named(radapter, here, command):
    answer = radapter(command[0], "nothing", *command[1:])
    assert (answer.code, list(here.iterdir())) == (2, [])
    assert "'nothing' must be a finished run" in answer.said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("method=full", "method.r=4"),
            "method.r is for lora, rslora, r-adapter, r-adapter+head, r-adapter:anchored, r-adapter:all-linear",
        ),
        (("method=full", "select.alpha=0.5"), "select.alpha is for linear-probe, flyp, lp-ft, l2-sp"),
        (("method=full", "loss.name=clip"), "loss.name for method 'full' must be one of: cross-entropy"),
        (("method=full", "loss.margin=0.1"), "loss.margin is for mpm-nce"),
        (("method=full", "adapter.alpha=0.5"), "adapter.alpha is now select.alpha. Got 0.5."),
        (("method=zero-shot", "train.ema_decay=0.9"), "train.ema_decay is for methods that train. Got 0.9"),
        (
            ("method=r-adapter:no-ema", "train.ema_decay=0.9"),
            "train.ema_decay is 0.0 in method 'r-adapter:no-ema'. Got 0.9.",
        ),
        (("method.layers_to_transform=[9]",), "layers_to_transform must name blocks"),
        (("loss.name=siglip",), "needs a model with a logit bias"),
        (("data.templates=nosuch",), "nosuch"),
        (("data.train={world: trian}",), "Did you mean 'train'?"),
        (("data.max_bad=2",), "data.max_bad must be a number in [0, 1]. Got 2."),
    ],
)
def test_other_mistakes_are_found_before_anything_is_written(refused, overrides, said):
    assert said in refused(*overrides)


@pytest.mark.parametrize(
    "arguments", [("trian",), ("train",), ("init", "sorting", "--out", "a.yaml"), ("merge", "run")]
)
def test_wrong_usage_exits_with_2(radapter, arguments):
    assert radapter(*arguments).code == 2


@pytest.mark.parametrize("name", ["x" * 300, "x" * 245, "/proc/x", "/proc/x/y"])
@pytest.mark.parametrize(
    "command",
    [
        "train RUN.YAML model=world:tinny --out",
        "compare RUN.YAML model=world:tinny --out",
        "merge RUN --alpha 0.5 --out",
        "demo --out",
        "shards nowhere --out",
        "mine nowhere.csv --out",
        "segment world:tinny --data photos --classes sky,road --out",
        "search world:tinny sky --data photos --out",
        "init classification --out",
    ],
)
def test_a_place_that_cannot_be_is_refused_before_any_work(
    radapter, refusal, run, written, here, command, name
):
    photos(here / "photos", "cat")
    words = [{"RUN.YAML": written, "RUN": run}.get(word, word) for word in command.split()]
    said = refusal(radapter, *words, f"{name}.yaml" if words[0] == "init" else name)
    assert "output must" in said


def test_an_output_with_nul_is_refused(refused):
    said = refused('out="a\\0b"')
    assert "output must have a possible name." in said
    assert "a\\x00b': embedded null byte" in said.replace("\n", "")


@pytest.mark.parametrize("path", ["x" * 300, '{csv: "a\\0b"}'])
@pytest.mark.parametrize("command", ["train", "data check", "shards", "mine"])
def test_a_source_that_no_file_can_be_called_is_refused(radapter, refused, command, path):
    said = (
        refused(f"data.train={path}")
        if command == "train"
        else radapter(*command.split(), path, *to(command))
    )
    assert "a path must be a possible name" in (said if isinstance(said, str) else said.result.output)


def to(command):
    return () if command == "data check" else ("--out", "new")
