"""`radapter shards`: what it writes, says, continues and refuses."""

import json
import tarfile

import pytest
import yaml
from PIL import Image

from radapter.commands.shards import in_bytes
from radapter.data import open_classification, open_pairs
from radapter.errors import ConfigError

WORLD = "{world: train, size: 30}"
SCENES = "{world: scenes, size: 30}"


@pytest.fixture
def written(radapter, tmp_path):
    answer = radapter("shards", WORLD, "--out", tmp_path / "shards", "--size", "50kB")
    assert answer.code == 0, answer.result.output
    return tmp_path / "shards", answer


def test_labelled_images_are_written_and_the_printed_sources_read_them(written):
    folder, answer = written
    assert "30 images in 5 shards" in answer.printed
    whole = yaml.safe_load(answer.printed.strip().splitlines()[-1].rpartition("opened: ")[2])
    assert whole == {"shards": str(folder)}
    assert len(open_classification(whole)) == 30
    assert f"train: {{stream: {folder}}}" in answer.printed


def test_pairs_are_written_with_their_task_and_read(radapter, tmp_path):
    answer = radapter("shards", SCENES, "--task", "retrieval", "--out", tmp_path / "shards")
    assert answer.code == 0, answer.result.output
    assert "task: retrieval" in answer.printed
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 30


def test_a_list_of_pairs_is_written_as_one_set(radapter, tmp_path):
    both = "[{world: scenes, size: 4}, {world: scenes, size: 5, seed: 1}]"
    assert radapter("shards", both, "--out", tmp_path / "shards").code == 0
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 9


def test_a_source_that_only_pairs_have_needs_no_task(radapter, tmp_path):
    source = "{classification: {world: train, size: 10}}"
    assert radapter("shards", source, "--out", tmp_path / "shards").code == 0
    assert len(open_pairs({"webdataset": f"{tmp_path}/shards/*.tar"})) == 10


def test_joining_is_kept_in_what_was_written_from(radapter, tmp_path):
    command = ("shards", SCENES, "--task", "retrieval", "--apart", "--out", tmp_path / "shards")
    assert radapter(*command).code == 0
    about = json.loads((tmp_path / "shards" / "sizes.json").read_text())["written"]["from"]
    assert (about["join_captions"], about["target_classes"]) == (False, 30)


def test_started_again_it_changes_nothing(radapter, written):
    folder, _ = written
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    assert radapter("shards", WORLD, "--out", folder, "--size", "50kB").code == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")} == before


@pytest.mark.parametrize(
    ("source", "size", "said"),
    [("{world: train, size: 31}", "50kB", "written from something else"), (WORLD, "60kB", "size of a shard")],
)
def test_something_else_is_refused(radapter, written, source, size, said):
    folder, _ = written
    answer = radapter("shards", source, "--out", folder, "--size", size)
    assert answer.code == 2
    assert said in " ".join(answer.said.split())


def test_a_source_that_was_repaired_is_written_by_the_same_command(radapter, here):
    Image.new("RGB", (8, 8)).save(here / "a.png")
    (here / "b.png").write_bytes(b"no image")
    (here / "pairs.csv").write_text("image,caption\na.png,one\nb.png,two\n")
    command = ("shards", "pairs.csv", "--task", "retrieval", "--out", "shards")
    assert radapter(*command).code == 2
    assert not (here / "shards").exists()
    Image.new("RGB", (9, 9)).save(here / "b.png")
    assert radapter(*command).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((WORLD, "--size", "big"), "such as 1GB. Got 'big'"),
        ((WORLD, "--apart"), "for image-text pairs"),
        (("[a, b]", "--task", "classification"), "--task retrieval"),
        (("nowhere",), "nowhere"),
        ((WORLD, "--task", "segmentation"), "'segmentation' is not one of"),
    ],
)
def test_wrong_input_exits_2_and_writes_nothing(radapter, tmp_path, arguments, said):
    answer = radapter("shards", *arguments, "--out", tmp_path / "shards")
    assert answer.code == 2
    assert said in " ".join(answer.said.split())
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("1.5 mb", 1_500_000), ("200", 200), ("3kB", 3_000)],
)
def test_sizes_are_read(text, size):
    assert in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "GB", "1XB", "1 G B"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigError, match="size must be a number"):
        in_bytes(text)


def test_an_interrupted_command_keeps_whole_shards_and_says_how_to_continue(radapter, tmp_path, monkeypatch):
    from radapter.data.shards import exporting

    whole = tmp_path / "whole"
    assert radapter("shards", WORLD, "--out", whole, "--size", "50kB").code == 0
    written, left = exporting.sample_json, [20]

    def interrupting(key):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return written(key)

    command = ("shards", WORLD, "--out", tmp_path / "stopped", "--size", "50kB")
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "sample_json", interrupting)
        answer = radapter(*command)
    assert answer.code == 130
    assert "What was saved is in" in " ".join(answer.said.split())
    assert 0 < len(list((tmp_path / "stopped").glob("*.tar"))) < 5
    assert radapter(*command).code == 0
    for file in whole.iterdir():
        assert (tmp_path / "stopped" / file.name).read_bytes() == file.read_bytes()


# --- training on them ---------------------------------------------------------------------------------------------


@pytest.fixture
def streamed(written, written_run):
    return written_run(f"data.train={{stream: {written[0]}, buffer: 10}}")


@pytest.fixture
def written_run(radapter, tmp_path, small):
    """Trains on a changed configuration of the world."""
    path = tmp_path / "run.yaml"
    assert radapter("init", "classification", "--out", path).code == 0
    return lambda *changes: radapter("train", path, *small, *changes, "--out", tmp_path / "run")


def test_a_run_trains_on_the_stream_that_was_printed(streamed, tmp_path):
    assert streamed.code == 0, streamed.result.output
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["method"] for row in results["rows"]] == ["zero-shot", "r-adapter"]
    assert "buffer: 10" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_run_of_retrieval_trains_on_a_stream_of_pairs(radapter, tmp_path):
    assert radapter("shards", SCENES, "--task", "retrieval", "--out", tmp_path / "shards").code == 0
    path = tmp_path / "pairs.yaml"
    assert radapter("init", "retrieval", "--out", path).code == 0
    test = "{world: scenes, size: 20, seed: 7}"
    answer = radapter(
        *("train", path, f"data.train={{stream: {tmp_path}/shards}}", "data.ood={}", f"data.id_test={test}"),
        *(
            "data.id_val=null",
            "select.alpha=0.5",
            "train.epochs=1",
            "train.batch_size=8",
            "train.per_group=2",
        ),
        *("--out", tmp_path / "run"),
    )
    assert answer.code == 0, answer.result.output
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "{stream: SHARDS, readers: 6}",
            "a stream needs a shard for each that reads, 6 for 1 process with 6 readers",
        ),
        ("{stream: SHARDS, part: [0.0, 0.5]}", "unknown key 'data.train.part'"),
        ("{stream: SHARDS, buffer: 0}", "data.train.buffer must be a whole number >= 1"),
        ("{stream: nowhere}", "a folder of shards must have a sizes.json"),
    ],
)
def test_a_stream_that_cannot_be_read_exits_2_and_writes_nothing(
    written, written_run, tmp_path, source, said
):
    answer = written_run(f"data.train={source.replace('SHARDS', str(written[0]))}")
    assert answer.code == 2, answer.result.output
    assert said in " ".join(answer.said.split())
    assert not (tmp_path / "run").exists()


def test_sizes_that_disagree_exit_2_with_both_numbers(written, written_run, tmp_path):
    folder, _ = written
    content = json.loads((folder / "sizes.json").read_text())
    held = content["00002.tar"]
    content["00002.tar"] = held + 3
    (folder / "sizes.json").write_text(json.dumps(content))
    (folder / "manifest.json").unlink()  # changed on purpose
    answer = written_run(f"data.train={{stream: {folder}}}")
    assert answer.code == 2
    said = " ".join(answer.said.split())
    assert f"00002.tar' holds {held}, sizes.json says {held + 3}. Write the folder again" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("role", ["id_val", "id_test"])
def test_only_training_reads_a_stream(written, written_run, role):
    answer = written_run(f"data.{role}={{stream: {written[0]}}}")
    assert answer.code == 2
    assert f"data.{role}" in answer.said


def test_a_stream_among_several_sources_is_refused(radapter, tmp_path):
    path = tmp_path / "pairs.yaml"
    assert radapter("init", "retrieval", "--out", path).code == 0
    answer = radapter("train", path, "data.train=[{stream: a}, {world: scenes}]", "--out", tmp_path / "run")
    assert answer.code == 2
    assert "a stream alone. Got 2 sources" in " ".join(answer.said.split())


def test_a_tower_without_a_switch_for_checkpointing_exits_2(radapter, written_run, monkeypatch, tmp_path):
    import open_clip

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 1},
    }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-RN", config)
    answer = written_run("model=open_clip:tiny-RN", "method=full", "train.gradient_checkpointing=true")
    assert answer.code == 2, answer.result.output
    assert "The image tower of 'open_clip:tiny-RN', ModifiedResNet, has none" in " ".join(answer.said.split())
    assert not (tmp_path / "run").exists()


def test_photographs_of_phones_are_packed(radapter, here):
    first, second = (Image.new("RGB", (16, 12), colour) for colour in ("red", "blue"))
    for name in ("cat", "dog"):
        (here / "photos" / name).mkdir(parents=True)
        first.save(here / "photos" / name / f"{name}.jpg")
    # phones store a depth map or a preview behind the photograph: Pillow calls such a JPEG an MPO
    first.save(here / "photos/cat/iphone.jpg", format="MPO", save_all=True, append_images=[second])
    answer = radapter("shards", "photos", "--out", "s")
    assert answer.code == 0, answer.result.output
    assert "left out" not in answer.result.output
    with tarfile.open(next((here / "s").glob("*.tar"))) as tar:
        assert sum(name.endswith(".jpg") for name in tar.getnames()) == 3


@pytest.mark.parametrize(("column", "task"), [("label", "classification"), ("caption", "retrieval")])
def test_images_outside_the_folder_of_their_table_are_reported(radapter, tmp_path, column, task):
    for place in ("set/a.png", "elsewhere/b.png", "elsewhere/deep/c.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (len(place), 0, 0)).save(tmp_path / place)
    rows = [f"a.png,x\n{tmp_path}/elsewhere/b.png,y\n{tmp_path}/elsewhere/deep/c.png,z\n"]
    (tmp_path / "set" / "t.csv").write_text(f"image,{column}\n{''.join(rows)}")
    answer = radapter("shards", tmp_path / "set" / "t.csv", "--task", task, "--out", tmp_path / "shards")
    assert answer.code == 0, answer.result.output
    said = f"2 of 3 images lie outside '{tmp_path}/set', below '{tmp_path}/elsewhere'"
    assert said in " ".join(answer.printed.split())
