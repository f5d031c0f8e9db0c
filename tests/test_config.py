"""run.yaml: what is accepted, what its mistakes are called, what is written back."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from radapter.adapter import RAdapterConfig
from radapter.config import (
    RetrievalRunConfig,
    RunConfig,
    SegmentationRunConfig,
    differences,
    fingerprint,
    load_config,
    resolved_yaml,
)
from radapter.config.building import recipe_of
from radapter.config.methods import MethodOf, NamedSettings
from radapter.config.problems import known_keys, method_fields
from radapter.config.reading import TASKS
from radapter.config.schema import TRAIN_KEYS, LossConfig
from radapter.config.sources import NamedPairSources, PairTrainSources
from radapter.data.pairs.kinds import PairDataSource
from radapter.data.source import written as as_written
from radapter.data.wording import requirement
from radapter.errors import ConfigError
from radapter.evaluation import HEADLINES
from radapter.methods import METHODS, TABLES, MethodSettings
from radapter.tasks.recipe import Recipe

SMALLEST = """\
model: world:tiny
data:
  train: {world: train}
  id_val: {world: id_val}
  id_test: {world: id_test}
"""

PAIRS = """\
task: retrieval
model: world:tiny
data:
  train: {world: scenes}
  id_val: {world: scenes, seed: 1}
  id_test: {world: scenes, seed: 2}
"""

MASKS = """\
task: segmentation
model: world:tiny
data:
  train: {from_masks: {world: scenes}}
  id_val: {world: scenes, seed: 1}
  id_test: {world: scenes, seed: 2}
"""


def written(folder: Path, text: str = SMALLEST) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def message(folder: Path, text: str = SMALLEST, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, text), overrides)
    return str(caught.value)


def test_defaults_are_the_papers_or_the_methods_own(tmp_path):
    config = load_config(written(tmp_path))
    method = config.method
    assert (method.name, config.select.alpha, method.drop, method.r) == ("r-adapter", "auto", 0.2, None)
    assert (config.loss.name, config.loss.margin, config.loss.label_smoothing) == (None, None, None)
    assert (config.train.precision, config.train.lr, config.train.grad_clip) == ("fp32", None, 1.0)


def test_out_defaults_to_the_name_of_the_file(tmp_path):
    assert load_config(written(tmp_path)).out == str(Path("runs/run"))


def test_overrides_are_yaml_and_the_last_one_wins(tmp_path):
    config = load_config(
        written(tmp_path),
        ["train.lr=1e-3", "train.lr=2e-3", "data.ood={drawn: {world: sketch}}", "method.r=4"],
    )
    assert (config.train.lr, config.method.r) == (2e-3, 4)
    assert as_written(config.data.ood) == {"drawn": {"world": "sketch"}}


def test_a_lone_test_set_is_named_id_test(tmp_path):
    assert as_written(load_config(written(tmp_path)).data.id_test) == {"id_test": {"world": "id_test"}}


def test_several_test_sets_keep_their_names(tmp_path):
    config = load_config(
        written(tmp_path), ["data.id_test={photo: a/folder, more: {csv: b.csv, image: file}}"]
    )
    assert as_written(config.data.id_test) == {"photo": "a/folder", "more": {"csv": "b.csv", "image": "file"}}


def test_exponents_without_a_dot_are_numbers(tmp_path):
    text = SMALLEST + "train: {lr: 1e-4, weight_decay: 1E-2}\n"
    train = load_config(written(tmp_path, text)).train
    assert (train.lr, train.weight_decay) == (1e-4, 1e-2)


@pytest.mark.parametrize(
    ("line", "key", "nearest"),
    [
        ("metod: full", "metod", "method"),
        ("train: {epcohs: 3}", "train.epcohs", "train.epochs"),
        ("epochs: 3", "epochs", "train.epochs"),
        ("method: {dropp: 0.1}", "method.dropp", "method.drop"),
        ("drop: 0.1", "drop", "method.drop"),
    ],
)
def test_unknown_key_is_named_with_its_line_and_the_nearest_key(tmp_path, line, key, nearest):
    text = message(tmp_path, SMALLEST + line + "\n")
    assert text == f"{tmp_path / 'run.yaml'}:6: unknown key '{key}'. Did you mean '{nearest}'?"


def test_unknown_key_in_a_source_is_named_with_the_nearest(tmp_path):
    text = message(tmp_path, SMALLEST.replace("{world: train}", "{world: train, sed: 1}"))
    assert text.endswith("run.yaml:3: unknown key 'data.train.sed'. Did you mean 'data.train.seed'?")


def test_unknown_key_with_no_near_one_lists_the_known(tmp_path):
    assert "Known here: name, margin, label_smoothing, anchor, train_scale, anchor_words." in message(
        tmp_path, SMALLEST + "loss: {zzz: 1}\n"
    )


@pytest.mark.parametrize(
    ("override", "requirement"),
    [
        ("method.drop=1.0", "method.drop must be a number in [0, 1). Got 1.0."),
        ("method.drop=-0.1", "method.drop must be a number in [0, 1). Got -0.1."),
        ("select.alpha=1.5", "select.alpha must be 'auto' or a number in [0, 1]. Got 1.5."),
        ("method.r=0", "method.r must be null or a whole number >= 1. Got 0."),
        ("method.r=four", "method.r must be null or a whole number >= 1. Got 'four'."),
        ("train.epochs=2.5", "train.epochs must be a whole number in [1, 1000000]. Got 2.5."),
        ("train.lr=0", "train.lr must be null or a number > 0. Got 0."),
        ("train.lr=.nan", "train.lr must be null or a number > 0. Got nan."),
        ("train.flip=1", "train.flip must be null or true or false. Got 1."),
        ("train.precision=fp8", "train.precision must be one of 'fp32', 'bf16', 'fp16'. Got 'fp8'."),
        (
            "train.crop_scale=[2, 3]",
            "train.crop_scale must be [low, high] with 0 < low <= high <= 1. Got [2, 3].",
        ),
        ("model=3", "model must be text. Got 3. Put it in quotes."),
        ("loss=3", "loss must be a mapping. Got 3."),
        (
            "data.classnames=[a, no]",
            "data.classnames must be null or text or a list, each item text. Got False.",
        ),
        ("data.train.part=[0.5, 0.2]", "data.train.part must be [low, high) with 0 <= low < high <= 1."),
        ("data.id_test.part=[0, 2]", "data.id_test.part must be [low, high) with 0 <= low < high <= 1."),
        ("method=r-adaptor", "Got 'r-adaptor'. Did you mean 'r-adapter'"),
    ],
)
def test_wrong_value_says_name_requirement_and_value(tmp_path, override, requirement):
    text = message(tmp_path, SMALLEST, override)
    assert text.startswith(f"override '{override}': ")
    assert requirement in text


def test_a_source_of_no_kind_or_of_two_says_which_kinds_there_are(tmp_path):
    for source in ("3", "{path: a}", "{csv: a, folder: b}"):
        text = message(tmp_path, SMALLEST, f"data.ood={{sketch: {source}}}")
        assert (
            "data.ood.sketch must be a path or a mapping with exactly one of the keys 'folder', 'csv'" in text
        )


def test_every_mistake_is_reported_at_once(tmp_path):
    text = message(tmp_path, SMALLEST + "metod: full\nmethod: {r: 0, drop: 2}\n", "train.lr=-1")
    assert text.startswith("4 mistakes:\n")
    assert text.count("\n") == 4


def test_missing_keys_are_said_to_be_required(tmp_path):
    text = message(tmp_path, "task: classification\n")
    assert "'model' is required" in text
    assert "'data' is required" in text


def test_alpha_auto_needs_validation_data(tmp_path):
    text = SMALLEST.replace("  id_val: {world: id_val}\n", "")
    assert "data.id_val is required while select.alpha is auto" in message(tmp_path, text)
    assert load_config(written(tmp_path, text), ["select.alpha=0.5"]).data.id_val is None


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    assert "run.yaml:6: key 'model' is repeated, first on line 1" in message(
        tmp_path, SMALLEST + "model: a\n"
    )


def test_text_that_is_no_yaml_gives_the_line(tmp_path):
    assert "run.yaml:2: not YAML" in message(tmp_path, "model: a\n - b: [\n")


def test_missing_file_proposes_the_nearest(tmp_path):
    written(tmp_path)
    with pytest.raises(ConfigError, match=r"does not\. Did you mean 'run\.yaml'"):
        load_config(tmp_path / "rnu.yaml")


@pytest.mark.parametrize("text", ["", "- a\n", "3\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    assert "run.yaml" in message(tmp_path, text)


def test_a_key_of_an_overridden_section_names_the_override(tmp_path):
    text = message(tmp_path, SMALLEST + "train: {epochs: 2}\n", "train={epochs: 0}")
    assert text.startswith("override 'train={epochs: 0}': train.epochs")


@pytest.mark.parametrize("override", ["train.lr", "=3", "train..lr=3", "train.lr=[1"])
def test_a_malformed_override_is_refused(tmp_path, override):
    assert override in message(tmp_path, SMALLEST, override)


def test_yaml_cannot_make_objects(tmp_path):
    assert "not YAML" in message(tmp_path, "model: !!python/object/apply:os.getcwd []\n")


def test_resolved_yaml_reads_back_equal(tmp_path):
    config = load_config(
        written(tmp_path), ["train.lr=1e-4", "data.ood={s: {parquet: [a, b], part: [0, 0.5]}}"]
    )
    again = tmp_path / "again.yaml"
    again.write_text(resolved_yaml(config))
    assert resolved_yaml(load_config(again)) == resolved_yaml(config)


def test_stored_paths_hold_from_every_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    overrides = [
        "model=clip",
        "out=~/runs/x",
        "data.train=photos",
        "data.ood={a: {csv: t.csv, image: t.csv}}",
    ]
    config = load_config(
        written(tmp_path), [*overrides, "data.id_val={parquet: [$DATA/a.parquet, b.parquet]}"]
    )
    stored = yaml.safe_load(resolved_yaml(config))
    assert config.data.train == "photos"  # messages show what the user wrote
    assert (stored["model"], stored["out"]) == (f"{tmp_path}/clip", str(Path("~/runs/x").expanduser()))
    assert stored["data"]["train"] == f"{tmp_path}/photos"
    assert stored["data"]["ood"]["a"] == {"csv": f"{tmp_path}/t.csv", "image": "t.csv"}
    assert stored["data"]["id_val"]["parquet"] == ["$DATA/a.parquet", f"{tmp_path}/b.parquet"]


def test_a_source_within_a_source_is_stored_with_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(
        written(tmp_path, MASKS), ["data.train={mine: {classification: {folder: a}}, to: m}"]
    )
    train = yaml.safe_load(resolved_yaml(config))["data"]["train"]
    assert train == {"mine": {"classification": {"folder": f"{tmp_path}/a"}}, "to": f"{tmp_path}/m"}


def test_a_model_that_is_no_local_folder_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    for name, stored in (
        ("open_clip:ViT-B-16/openai", "open_clip:ViT-B-16/openai"),
        ("open_clip:ViT-B-16/w.safetensors", f"open_clip:ViT-B-16/{tmp_path}/w.safetensors"),
        ("hf:a/b", "hf:a/b"),
    ):
        config = load_config(written(tmp_path), [f"model={name}"])
        assert yaml.safe_load(resolved_yaml(config))["model"] == stored


def test_out_expands_the_home_folder(tmp_path):
    assert load_config(written(tmp_path), ["out=~/runs/x"]).out == str(Path("~/runs/x").expanduser())


def test_fingerprint_ignores_only_what_does_not_decide_the_outcome(tmp_path):
    path = written(tmp_path)
    config = load_config(path)
    same = load_config(path, ["out=elsewhere", "train.workers=2", "tracking=tensorboard"])
    other = load_config(path, ["train.lr=1e-4"])
    assert fingerprint(config) == fingerprint(same) != fingerprint(other)
    assert differences(config, same) == []
    assert differences(config, other) == ["train.lr: None, there 0.0001"]


def test_a_configuration_cannot_be_changed(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        load_config(written(tmp_path)).train.lr = 1.0


@given(
    lr=st.floats(1e-8, 1.0),
    drop=st.floats(0, 0.99),
    alpha=st.one_of(st.just("auto"), st.floats(0, 1)),
    names=st.lists(st.text(max_size=8), max_size=3),
)
def test_any_valid_configuration_survives_being_written(tmp_path_factory, lr, drop, alpha, names):
    settings = yaml.safe_load(SMALLEST) | {
        "out": "o",
        "train": {"lr": lr},
        "method": {"name": "r-adapter", "drop": drop},
        "select": {"alpha": alpha},
    }
    settings["data"]["classnames"] = names
    config = RunConfig.model_validate(settings)
    path = tmp_path_factory.mktemp("round") / "run.yaml"
    path.write_text(resolved_yaml(config), encoding="utf-8")
    assert resolved_yaml(load_config(path)) == resolved_yaml(config)


@pytest.mark.parametrize("task", TABLES)
def test_methods_and_their_settings_are_those_of_the_table_of_the_task(task):
    table, methods = TABLES[task], TASKS[task].methods
    assert list(methods.members) == list(table)
    for name, method in table.items():
        assert set(methods.members[name].model_fields) == {"name", *method.keys}


def test_a_method_in_the_table_is_read_from_run_yaml_with_its_settings():
    class Settings(MethodSettings):
        depth: int = Field(default=3, ge=1)

    mine = replace(METHODS["full"], name="mine", settings_type=Settings)
    methods = MethodOf({**METHODS, "mine": mine}, "classification")
    read = TypeAdapter(Annotated[NamedSettings, methods]).validate_python
    assert methods.settings(read({"name": "mine", "depth": 5})) == Settings(depth=5)
    assert methods.settings(read("mine")) == Settings()
    with pytest.raises(ValidationError, match="depth"):
        read({"name": "full", "depth": 5})


@pytest.mark.parametrize("task", TABLES)
def test_selection_is_by_the_headline_figure_of_the_task(task):
    by = TASKS[task].model_fields["select"].annotation.model_fields["by"]
    assert by.default == HEADLINES[task].metric
    assert requirement(by) == repr(HEADLINES[task].metric)


def test_defaults_of_training_are_those_of_the_recipe(tmp_path):
    for text in (SMALLEST, PAIRS, MASKS):
        config = load_config(written(tmp_path, text))
        assert recipe_of(config) == Recipe(settings=config.methods.settings(config.method))
    given = {"settings", "loss", "margin", "label_smoothing", "learning_rate", "max_bad"}
    given |= {"anchor", "train_scale", "anchor_words"}
    assert {field.name for field in fields(Recipe)} == given | set(TRAIN_KEYS)


def test_defaults_of_r_adapter_are_those_of_its_peft_configuration():
    assert METHODS["r-adapter"].settings(MethodSettings()).adapter() == RAdapterConfig()


@pytest.mark.parametrize(
    ("overrides", "name", "r"),
    [
        (["method.r=4"], "r-adapter", 4),
        (["method=lora"], "lora", 8),
        (["method.name=lora"], "lora", 8),
        (["method.name=lora", "method.r=4"], "lora", 4),
        (["method={name: r-adapter, r: 4}", "method=lora"], "lora", 8),
        (["method={r: 4}"], "r-adapter", 4),
    ],
)
@pytest.mark.parametrize("line", ["", "method: r-adapter\n", "method: {name: r-adapter}\n"])
def test_a_method_is_a_name_or_a_mapping_and_overrides_reach_into_it(tmp_path, line, overrides, name, r):
    method = load_config(written(tmp_path, SMALLEST + line), overrides).method
    assert (method.name, method.r) == (name, r)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "{name: lora, drop: 0.3}",
            "method.drop is for r-adapter, r-adapter+head, r-adapter:anchored, r-adapter:all-linear. Got 0.3 with "
            "method 'lora', which does not read it. Leave it out.",
        ),
        ("{name: r-adapter:r-4, r: 8}", "method.r is 4 in method 'r-adapter:r-4'. Got 8. Leave it out."),
        (
            "{name: r-adapter, alpha: 0.5}",
            "method.alpha is for tip-adapter, tip-adapter-f. Got 0.5 with method 'r-adapter', which does not read "
            "it. Did you mean 'select.alpha'?",
        ),
        ("{name: r-adapter, drpo: 0.5}", "unknown key 'method.drpo'. Did you mean 'method.drop'?"),
        ("{name: full, zzz: 3}", "unknown key 'method.zzz'. Known here: none."),
        ("{name: lora, r: null}", "method.r must be a whole number >= 1. Got None."),
        ("{name: loar}", "Got 'loar'. Did you mean 'lora'"),
        ("{name: [lora]}", "method.name must be one of zero-shot, linear-probe,"),
        ("{1: 2}", "unknown key 'method.1'. Known here: r, drop, drop_kind,"),
        (
            "{name: r-adapter, layers_to_transform: [a]}",
            "method.layers_to_transform must be null or a list, each item a whole number. Got 'a'.",
        ),
        ("3", "method must be the name of a method, or a mapping such as {name: r-adapter, r: 4}. Got 3."),
    ],
)
def test_a_setting_that_the_method_does_not_read_is_refused(tmp_path, method, said):
    text = message(tmp_path, SMALLEST + f"method: {method}\n")
    assert text.startswith(f"{tmp_path / 'run.yaml'}:6: ")
    assert said in text


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("adapter.r=4", "adapter.r is now method.r. Got 4. Write method: {name: lora, r: 4}."),
        ("adapter.alpha=0.5", "adapter.alpha is now select.alpha. Got 0.5. Write select: {alpha: 0.5}."),
        (
            "adapter.ema_decay=0.9",
            "adapter.ema_decay is now train.ema_decay. Got 0.9. Write train: {ema_decay: 0.9}.",
        ),
        ("adapter=3", "adapter is now method, select and train.ema_decay. Got 3. Leave it out."),
        ("adapter={}", "adapter is now method, select and train.ema_decay. Leave it out."),
    ],
)
def test_an_old_key_names_the_new_one(tmp_path, override, said):
    assert message(tmp_path, SMALLEST + "method: lora\n", override) == f"override '{override}': {said}"


def test_old_keys_of_a_file_are_reported_with_their_lines_beside_other_mistakes(tmp_path):
    text = message(tmp_path, SMALLEST + "adapter:\n  drop: 0.1\n  alpha: 1\n", "train.lr=-1")
    file = tmp_path / "run.yaml"
    assert text.splitlines() == [
        "3 mistakes:",
        f"  {file}:7: adapter.drop is now method.drop. Got 0.1. Write method: {{name: r-adapter, drop: 0.1}}.",
        f"  {file}:8: adapter.alpha is now select.alpha. Got 1. Write select: {{alpha: 1}}.",
        "  override 'train.lr=-1': train.lr must be null or a number > 0. Got -1.",
    ]


@pytest.mark.parametrize(
    ("text", "new"),
    [(PAIRS, "full-both-towers"), (MASKS, "full-image-tower")],
    ids=["retrieval", "segmentation"],
)
@pytest.mark.parametrize("override", ["method=full", "compare.rates={full: 1e-4}"])
def test_the_old_name_of_a_method_names_the_new_one(tmp_path, text, new, override):
    task = yaml.safe_load(text)["task"]
    assert f"In {task}, 'full' is now '{new}'." in message(tmp_path, text, override)


def test_one_name_is_one_training_in_every_task():
    for name in {name for table in TABLES.values() for name in table} - {
        "wise-ft",
        "uniform-soup",
        "greedy-soup",
        "model-stock",
        "lines",
    }:
        rows = [table[name] for table in TABLES.values() if name in table]
        assert len({(row.losses, row.alpha, row.settings_type, row.learning_rate) for row in rows}) == 1


def test_the_image_tower_alone_is_adapted_in_segmentation_unless_towers_are_named(tmp_path):
    for text, overrides, towers in (
        (SMALLEST, [], ("image", "text")),
        (MASKS, [], ("image",)),
        (MASKS, ["method.towers=[image, text]"], ("image", "text")),
    ):
        config = load_config(written(tmp_path, text), overrides)
        method = config.methods.table[config.method.name]
        assert recipe_of(config).of(method).settings.adapter().towers == towers


def test_defaults_of_segmentation(tmp_path):
    config = load_config(written(tmp_path, MASKS))
    assert as_written(config.data.train) == {"from_masks": {"world": "scenes"}}
    assert as_written(config.data.id_test) == {"id_test": {"world": "scenes", "seed": 2}}
    assert (config.data.unseen, config.data.templates) == ([], "short")
    assert (config.regions.scales, config.regions.square) == ([100, 300, 900], False)


def test_segmentation_survives_being_written(tmp_path):
    overrides = [
        "data.train={mine: {csv: a.csv}, to: m}",
        "regions.scales=[50]",
        "data.unseen=[boat]",
        "out=o",
    ]
    config = load_config(written(tmp_path, MASKS), overrides)
    (tmp_path / "again.yaml").write_text(resolved_yaml(config), encoding="utf-8")
    assert resolved_yaml(load_config(tmp_path / "again.yaml")) == resolved_yaml(config)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.train={mine: {csv: a.csv, captoin: b}, to: m}", "data.train.mine.captoin'. Did you mean"),
        (
            "data.train={mine: {classification: {folder: a, shost: 1}}, to: m}",
            "classification.shost'. Did you mean",
        ),
        ("data.train={mined: m, mine: a.csv}", "exactly one of the keys 'mined', 'mine', 'from_masks'"),
        ("data.ood={a: {layout: camvid}}", "data.ood.a.path' is required"),
        ("data.ood={a: masks.csv}", "data.ood.a must be a mapping with exactly one of the keys 'masks'"),
        ("regions.max_overlap=2", "regions.max_overlap must be a number in [0, 1]. Got 2"),
    ],
)
def test_wrong_value_of_segmentation_says_name_requirement_and_value(tmp_path, override, said):
    assert said in message(tmp_path, MASKS, override)


def test_the_task_picks_the_schema(tmp_path):
    assert isinstance(load_config(written(tmp_path)), RunConfig)
    assert isinstance(load_config(written(tmp_path, MASKS)), SegmentationRunConfig)
    assert isinstance(load_config(written(tmp_path, PAIRS)), RetrievalRunConfig)


def test_an_unknown_task_proposes_the_nearest(tmp_path):
    assert message(tmp_path, PAIRS.replace("retrieval", "retreival")) == (
        f"{tmp_path / 'run.yaml'}:1: task must be one of 'classification', 'retrieval', 'segmentation'. "
        "Got 'retreival'. "
        "Did you mean 'retrieval'?"
    )


def test_defaults_of_retrieval(tmp_path):
    config = load_config(written(tmp_path, PAIRS))
    assert as_written(config.data.train) == [{"world": "scenes"}]
    assert as_written(config.data.id_test) == {"id_test": {"world": "scenes", "seed": 2}}
    assert (config.data.join_captions, config.train.per_group) == (True, None)


def test_retrieval_survives_being_written(tmp_path):
    overrides = ["train.per_group=2", "data.train=[a.csv, {csv: b.csv, part: [0, 0.5]}]", "out=o"]
    config = load_config(written(tmp_path, PAIRS), overrides)
    again = tmp_path / "again.yaml"
    again.write_text(resolved_yaml(config))
    assert resolved_yaml(load_config(again)) == resolved_yaml(config)
    assert fingerprint(load_config(again)) == fingerprint(config)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("method=r-adapter+head", "method must be one of zero-shot, full-both-towers, lora,"),
        ("method=flyp", "Got 'flyp'."),
        ("train.per_group=0", "train.per_group must be null or a whole number >= 1. Got 0."),
        ("train.per_group=3", "train.batch_size must be a multiple of train.per_group, 3. Got 64."),
        ("data.join_captions=1", "data.join_captions must be true or false. Got 1."),
        ("data.train.sede=1", "unknown key 'data.train.sede'. Did you mean 'data.train.seed'?"),
        (
            "data.train=[{world: scenes}, {world: scenes, sede: 1}]",
            "unknown key 'data.train.1.sede'. Did you mean 'data.train.1.seed'?",
        ),
        (
            "data.train.captions_per_image=0",
            "data.train.captions_per_image must be null or a whole number >= 1.",
        ),
        (
            "data.train=[{world: scenes, wording: loud}]",
            "data.train.0.wording must be one of 'clean', 'full', 'web'. Got 'loud'.",
        ),
        (
            "data.train=3",
            "data.train must be a path or a mapping with exactly one of the keys 'csv', 'jsonl'",
        ),
        ("data.id_test.part=[0, 2]", "data.id_test.part must be [low, high) with 0 <= low < high <= 1."),
        ("data.train={webdataset: []}", "data.train.webdataset must name at least one file. Got []."),
        ("data.id_test={}", "data.id_test must hold at least one test set. Got {}. Give a source,"),
        ("data.ood={a: {corrupt: id_test, type: foo}}", "type of corrupt must be one of gaussian_noise,"),
        (
            "data.ood={named: {classification: {folder: a, shot: 2}}}",
            "unknown key 'data.ood.named.classification.shot'. Did you mean 'data.ood.named.classification.shots'?",
        ),
        (
            "data.ood={named: {classification: {folder: a, shots: 0}}}",
            "data.ood.named.classification.shots must be null or a whole number >= 1. Got 0.",
        ),
        ("data.classnames=[a]", "unknown key 'data.classnames'."),
        ("data.id_val=null", "data.id_val is required while select.alpha is auto"),
    ],
)
def test_wrong_value_of_retrieval_says_name_requirement_and_value(tmp_path, override, said):
    assert said in message(tmp_path, PAIRS, override)


def test_a_mistake_in_a_list_of_sources_gives_its_line(tmp_path):
    text = PAIRS.replace("{world: scenes}\n", "\n    - a.csv\n    - {csv: b.csv, imag: x}\n", 1)
    assert message(tmp_path, text).startswith(f"{tmp_path / 'run.yaml'}:6: unknown key 'data.train.1.imag'.")


def test_a_mistake_in_one_source_for_all_sets_is_reported_once(tmp_path):
    text = "model: world:tiny\ndata:\n  folder: photos\n  shots: -1\n"
    assert message(tmp_path, text) == (
        f"{tmp_path / 'run.yaml'}:4: data.shots must be null or a whole number >= 1. Got -1."
    )


def test_losses_are_those_of_the_list_of_losses():
    from radapter.losses import LOSSES

    assert requirement(LossConfig.model_fields["name"]) == f"null or one of {', '.join(map(repr, LOSSES))}"


@pytest.mark.parametrize("key", known_keys(RunConfig))
def test_documentation_states_what_a_key_accepts_its_default_and_what_it_does(key):
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
    assert_told(lines, key, field_of(RunConfig, key))


@pytest.mark.parametrize("key", [key for key in known_keys(RetrievalRunConfig) if key != "task"])
def test_documentation_has_every_key_of_retrieval(key):
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    own = page[page.index("## `data` and `train` of retrieval") : page.index("## Sources")]
    lines = [line for part in (own, page) for line in part.splitlines() if line.startswith(f"| `{key}` |")]
    assert_told(lines, key, field_of(RetrievalRunConfig, key))


@pytest.mark.parametrize("key", [key for key in known_keys(SegmentationRunConfig) if key != "task"])
def test_documentation_has_every_key_of_segmentation(key):
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    own = page[page.index("## `data` and `regions` of segmentation") : page.index("## Sources")]
    lines = [line for part in (own, page) for line in part.splitlines() if line.startswith(f"| `{key}` |")]
    if key != "regions":
        assert_told(lines, key, field_of(SegmentationRunConfig, key))


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, table in TABLES.items() for name in table])
def test_documentation_has_every_setting_of_a_method(task, name):
    page = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = page[page.index("## `method`") : page.index("## `select`")]
    for key in TABLES[task][name].keys:
        field = TABLES[task][name].settings_type.model_fields[key]
        lines = [line for line in section.splitlines() if line.startswith(f"| `method.{key}` |")]
        assert_tells(next(line for line in lines if field.description in line), field)


def field_of(model, key):
    """The field of a dotted key."""
    name = key.removeprefix("method.")
    if name != key and name != "name":
        return method_fields(model)[name]
    field = None
    for part in key.split("."):
        field = (field.annotation if field else model).model_fields[part]
    return field


def assert_told(lines, key, field):
    """Whether the first line of a key tells of its field; several methods have settings of one name."""
    own = [line for line in lines if field.description in line] if key.startswith("method.") else lines
    assert_tells(own[0], field)


def assert_tells(line, field):
    """Whether a line of the page has a field's description, requirement and default."""
    assert field.description in line
    if "source" not in line:
        assert requirement(field) in line
    if not (field.is_required() or field.default_factory or isinstance(field.default, tuple | BaseModel)):
        assert f"| {yaml.safe_dump(field.default, default_flow_style=True).splitlines()[0]} |" in line


@pytest.mark.parametrize(
    "spec",
    [
        "captions.csv",
        {"csv": "a.csv", "caption": "text", "part": [0, 0.5], "captions_per_image": 5},
        {"classification": {"folder": "a", "shots": 4}, "templates": ["a {}"], "grayscale": True},
        {"world": "scenes", "styles": ["photo"], "corrupt": {"type": "fog", "severity": 2}},
    ],
)
def test_a_source_of_pairs_leaves_the_schema_as_it_was_written(spec):
    checked = TypeAdapter(PairDataSource).validate_python(spec)
    assert as_written(checked) == (
        spec | {"part": (0.0, 0.5)} if "part" in spec and isinstance(spec, dict) else spec
    )
    assert TypeAdapter(PairDataSource).validate_python(checked) == checked
    assert TypeAdapter(NamedPairSources).validate_python(spec) == {"id_test": checked}
    assert TypeAdapter(PairTrainSources).validate_python(spec) == [checked]
    assert TypeAdapter(PairTrainSources).validate_python([spec, spec]) == [checked, checked]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"csv": "a.csv", "label": "x"}, "label"),
        ({"csv": "a.csv", "karpathy": "b.json"}, "exactly one of the keys 'csv', 'jsonl'"),
        ({"karpathy": "b.json"}, "images"),
        ({"karpathy": "b.json", "images": "i", "split": "restval"}, "'train', 'val' or 'test'"),
        ({"csv": "a.csv", "captions_per_image": 0}, "greater than or equal to 1"),
        ({"classification": {"csv": "a", "labl": "x"}}, "labl"),
        ({"world": "scenes", "wording": "loud"}, "'clean', 'full' or 'web'"),
        ([], "at least 1"),
    ],
)
def test_a_wrong_source_of_pairs_is_refused(spec, message):
    kind = PairTrainSources if isinstance(spec, list) else PairDataSource
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(kind).validate_python(spec)
