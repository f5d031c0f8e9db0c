from dataclasses import replace
from pathlib import Path

import pytest

import radapter
from radapter.errors import ConfigError
from radapter.methods import METHODS
from radapter.protocol.search import best_rates, search_learning_rates
from radapter.protocol.study import study
from radapter.report.study import write_study


def load():
    return radapter.load("world:tiny")


def test_the_best_rate_has_the_best_accuracy_and_then_the_lower_loss():
    search = {
        "a": {
            1e-3: {"top1": 0.7, "nll": 1.0},
            1e-2: {"top1": 0.7, "nll": 0.9},
            1e-1: {"top1": 0.6, "nll": 0.1},
        }
    }
    assert best_rates(search) == {"a": 1e-2}


def test_a_search_reads_no_test_set(suite, recipe):
    class Untouchable(dict):
        def items(self):
            raise AssertionError("a test set was read")

    blind = replace(suite, id_test=Untouchable(suite.id_test), ood=Untouchable(suite.ood))
    found = search_learning_rates(
        [METHODS["r-adapter"]], load, blind, replace(recipe, epochs=1), grid=[1e-3, 1e-2], seed=0
    )
    assert set(found["r-adapter"]) == {1e-3, 1e-2}
    assert found["r-adapter"][1e-3] != found["r-adapter"][1e-2]


def test_a_search_needs_validation(suite, recipe):
    with pytest.raises(ConfigError, match="id_val"):
        search_learning_rates(
            [METHODS["full"]], load, replace(suite, id_val=None), recipe, grid=[1e-3], seed=0
        )


def test_a_study_searches_on_one_seed_and_reports_the_mean_of_others(tmp_path: Path, suite, recipe):
    lines: list[str] = []
    found = study(
        [METHODS["full"], METHODS["wise-ft"]],
        load,
        lambda seed: suite,
        replace(recipe, epochs=1),
        grid=[1e-4, 1e-3],
        search_seed=9,
        seeds=[0, 1],
        say=lines.append,
    )
    assert len(lines) == 4  # two rates, two seeds: wise-ft shares the training of full
    assert [r.seed for r in found.results] == [0, 1]
    assert {r.row("full").learning_rate for r in found.results} == {found.learning_rates["full"]}
    text = write_study(tmp_path, found, title="A study", command="python run.py")
    assert "2 seeds, mean" in text
    assert f"**{100 * found.search['full'][found.learning_rates['full']]['top1']:.1f}**" in text
    assert sorted(f.name for f in tmp_path.iterdir()) == ["frontier.png", "results.json", "results.md"]
