"""YAML that unfolds, nests or never ends: refused at once, with its line; ordinary anchors stay."""

import pytest
import yaml

from radapter.commands.evaluate import parsed
from radapter.config import load_config
from radapter.config.bounded_yaml import ConfigLoader
from radapter.config.reading import overridden
from radapter.errors import ConfigError

ALIASES = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, r"run\.yaml:\d: not YAML: it must hold at most 200,000 values"),
        (MERGES, r"run\.yaml:\d\d?: not YAML: it must hold at most 200,000 values"),
        ("a: &a [*a]", "run.yaml:1: not YAML: a list or mapping must not hold itself"),
        ("a: &a {b: *a}", "run.yaml:1: not YAML: a list or mapping must not hold itself"),
        ("a: " + "[" * 500 + "]" * 500, "run.yaml:1: not YAML: lists and mappings must be at most 50 deep"),
        ("- " * 500 + "x", "at most 50 deep"),
        ("model: x\nseed: " + "1" * 6000, "run.yaml:2: not YAML: a number must have at most 100 digits"),
        ("seed: " + "1" * 1_000_000, "at most 100 digits"),
        ("seed: 1" + ":10" * 100_000, "at most 100 digits"),
        ("seed: 1" + ":10" * 100_000 + ".0", "not YAML"),
        ("seed: 2024-13-45", "run.yaml:1: not YAML: month must be in 1..12"),
        ('model: x\nname: "\\ud83d"', "run.yaml:2: not YAML: text must not hold half of a surrogate pair"),
        (f"a: &a '{'x' * 10**5}'\nb: [{'*a,' * 1000}]", "at most 200,000 values"),
        ("model: a\0b", "not YAML.*unacceptable character"),
        ("a" * 2_000_000, "at most 1,048,576 characters, and has 2,000,000"),
    ],
)
def test_what_would_unfold_or_nest_without_end_is_refused(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "run.yaml")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "run.yaml").write_text("model: ä\n", encoding=encoding)
    with pytest.raises(ConfigError, match="must be readable UTF-8 text"):
        load_config(tmp_path / "run.yaml")


@pytest.mark.parametrize("value", ["[" * 500, "1" * 6000, "&a [*a]", "2024-13-45"])
def test_overrides_and_options_are_bounded_as_well(value):
    with pytest.raises(ConfigError, match="YAML"):
        overridden([f"a={value}"])
    with pytest.raises(ConfigError, match="YAML"):
        parsed(value)


def test_anchors_and_merge_keys_work():
    text = "base: &base {lr: 1e-3, sets: &sets [a, b]}\nown: {<<: *base, lr: 2}\nagain: *sets\n"
    assert yaml.load(text, Loader=ConfigLoader) == {
        "base": {"lr": 0.001, "sets": ["a", "b"]},
        "own": {"lr": 2, "sets": ["a", "b"]},
        "again": ["a", "b"],
    }


@pytest.mark.parametrize("depth", [45, 46])
def test_depth_counts_lists_and_mappings(depth):
    assert yaml.load("[" * depth + "]" * depth, Loader=ConfigLoader) is not None
