from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import radapter
from radapter.errors import ConfigError
from radapter.evaluation import HEADLINES
from radapter.methods import METHODS
from radapter.protocol import Trainings
from radapter.protocol.search import best_rates, search_learning_rates
from radapter.protocol.study import study
from radapter.report.study import write_study

SETS = ("id_val/id_val", "id/photo", "ood/sketch", "ood/neon")


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
    assert best_rates(search, HEADLINES["classification"]) == {"a": 1e-2}


def test_a_search_reads_no_test_set(tmp_path: Path, suite, recipe):
    class Untouchable:
        """Pictures that nobody may look at; the leak guard compares content hashes alone."""

        def image(self, index):
            raise AssertionError("a test set was read")

    def blinded(sets):
        return {name: replace(data, pictures=Untouchable()) for name, data in sets.items()}

    blind = replace(suite, id_test=blinded(suite.id_test), ood=blinded(suite.ood))
    trainings = Trainings(tmp_path, load, lambda _: blind, replace(recipe, epochs=1))
    found = search_learning_rates([METHODS["r-adapter"]], trainings, grid=[1e-3, 1e-2], seed=0)
    assert set(found["r-adapter"]) == {1e-3, 1e-2}
    assert found["r-adapter"][1e-3] != found["r-adapter"][1e-2]


def test_a_search_needs_validation(tmp_path: Path, suite, recipe):
    trainings = Trainings(tmp_path, load, lambda _: replace(suite, id_val=None), recipe)
    with pytest.raises(ConfigError, match="id_val"):
        search_learning_rates([METHODS["full"]], trainings, grid=[1e-3], seed=0)


def test_a_study_searches_on_one_seed_and_reports_the_mean_of_others(tmp_path: Path, suite, recipe):
    lines: list[str] = []
    trainings = Trainings(
        tmp_path / "trainings", load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append
    )
    methods = [METHODS["full"], METHODS["wise-ft"]]
    found = study(methods, trainings, grid=[1e-4, 1e-3], search_seed=9, seeds=[0, 1])
    assert len(lines) == 4  # two rates, two seeds: wise-ft shares the training of full
    assert [r.seed for r in found.results] == [0, 1]
    assert {r.row("full").learning_rate for r in found.results} == {found.learning_rates["full"]}
    text = write_study(tmp_path / "out", found, title="A study", command="python run.py")
    assert "2 seeds, mean" in text
    assert f"**{100 * found.search['full'][found.learning_rates['full']]['top1']:.1f}**" in text
    assert {"frontier.png", "results.json", "results.md"} <= {f.name for f in (tmp_path / "out").iterdir()}


def test_a_study_started_again_does_nothing_twice(tmp_path: Path, suite, recipe):
    lines: list[str] = []

    def once():
        trainings = Trainings(
            tmp_path, load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append
        )
        return study([METHODS["full"]], trainings, grid=[1e-4, 1e-3], search_seed=0, seeds=[0, 1])

    first, second = once(), once()
    assert len(lines) == 3  # the search's best is the first seed's training
    assert first == second


def test_the_search_s_losers_leave_their_accuracy_and_no_weights(tmp_path: Path, suite, recipe):
    trainings = Trainings(tmp_path, load, lambda _: suite, replace(recipe, epochs=1))
    found = study([METHODS["full"]], trainings, grid=[1e-4, 1e-2], search_seed=0, seeds=[0])
    (loser,) = {1e-4, 1e-2} - {found.learning_rates["full"]}
    left = {file.name for file in (tmp_path / f"full/seed-0/lr-{loser:g}").iterdir()}
    assert left == {"validation.json", "validation.safetensors"}


def test_soups_mix_the_trainings_of_the_grid(tmp_path: Path, suite, recipe):
    lines: list[str] = []
    trainings = Trainings(tmp_path, load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append)
    methods = [METHODS[name] for name in ("full", "uniform-soup", "greedy-soup")]
    found = study(methods, trainings, grid=[1e-4, 1e-3], search_seed=0, seeds=[0, 1])
    assert len(lines) == 4  # two rates at two seeds, and no more for the soups
    weights = [trainings.trained(METHODS["full"], rate, 1).classifier.state_dict() for rate in (1e-4, 1e-3)]
    mixed = trainings.mixed(METHODS["uniform-soup"], (), 1).classifier.state_dict()
    for name, tensor in mixed.items():
        assert torch.allclose(tensor, (weights[0][name] + weights[1][name]) / 2, atol=1e-6)
    assert found.results[1].row("uniform-soup").alpha == 1.0


def test_a_training_keeps_the_pseudo_values_of_every_set_at_every_alpha(tmp_path: Path, suite, recipe):
    trainings = Trainings(tmp_path, load, lambda _: suite, replace(recipe, epochs=1))
    swept = trainings.sweep(trainings.trained(METHODS["full"], 1e-3, 0), 0, 1e-3)
    kept = load_file(tmp_path / "full/seed-0/lr-0.001/pseudo_values.safetensors")
    zero_shot = load_file(tmp_path / "zero-shot/seed-0/pseudo_values.safetensors")
    assert kept.keys() == {f"{row.alpha:g}/{name}" for row in swept.rows for name in SETS}
    for row in swept.rows:
        hits = kept[f"{row.alpha:g}/ood/sketch"]
        assert (float(hits.double().mean()), len(hits)) == (row.ood["sketch"]["top1"], row.ood["sketch"]["n"])
    assert all(torch.equal(kept[key], values) for key, values in zero_shot.items())
    again = Trainings(tmp_path, load, lambda _: suite, recipe).validated(METHODS["full"], 1e-3, 0)
    assert torch.equal(again.pseudo_values, kept["1/id_val/id_val"])
