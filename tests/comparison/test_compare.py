import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models.small import clip_folder

import radapter
from radapter.comparison.compare import compare_methods
from radapter.comparison.learning_rates import choose_learning_rate, choose_rate, rate_grids
from radapter.comparison.store import RunStore
from radapter.errors import ConfigError, DivergedError
from radapter.evaluation import HEADLINES, Measured
from radapter.methods import METHODS
from radapter.report.study import edge_lines, search_markdown, write_study
from radapter.runs.results import Results

TOP1 = HEADLINES["classification"]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads a CLIP with random weights, a hundred times as fast as the world's."""
    folder = clip_folder(tmp_path_factory.mktemp("clip"))
    return lambda: radapter.load(folder)


def measured(right: str, nll: float = 1.0) -> Measured:
    """What ID validation gives where these images are right, such as "1101"."""
    values = torch.tensor([float(each) for each in right])
    return Measured({"top1": values.mean().item(), "nll": nll, "n": len(values)}, values)


def test_a_grid_is_five_rates_half_a_decade_apart_around_the_default():
    grids = rate_grids([METHODS["zero-shot"], METHODS["r-adapter"], METHODS["wise-ft"]], 768)
    assert grids == {
        "r-adapter": (5e-5, 1.58e-4, 5e-4, 1.58e-3, 5e-3),
        "full": (3e-6, 9.49e-6, 3e-5, 9.49e-5, 3e-4),
    }


def test_centres_and_the_number_of_points_are_given():
    methods = [METHODS["full"], METHODS["lora"], METHODS["linear-probe"]]
    grids = rate_grids(methods, 128, centres={"full": 1e-4, "flyp": 1.0}, points=3)
    assert grids["full"] == (3.16e-5, 1e-4, 3.16e-4)
    assert grids["lora"][1] == pytest.approx(2e-4 * 768 / 128)
    assert grids["linear-probe"][1] == 0.1  # a head's rate does not depend on the width
    assert rate_grids(methods, 128, points=1)["full"] == (1.8e-4,)


@pytest.mark.parametrize("given", ["wise-ft", "greedy-soup", "full"])
def test_methods_that_share_a_training_share_its_centre(given):
    grids = rate_grids([METHODS["wise-ft"], METHODS["uniform-soup"]], 128, centres={given: 1e-3}, points=1)
    assert grids == {"full": (1e-3,)}


def test_two_centres_for_one_training_are_refused():
    with pytest.raises(ConfigError, match=r"one rate. Got full: 0\.0001 and wise-ft: 0\.001"):
        rate_grids([METHODS["full"]], 128, centres={"full": 1e-4, "wise-ft": 1e-3})


def test_the_grid_of_a_part_of_r_adapter_is_centred_on_its_rate_unless_it_has_its_own():
    methods = [METHODS["r-adapter:r-4"], METHODS["r-adapter:no-drop"]]
    grids = rate_grids(methods, 128, centres={"r-adapter": 1e-2, "r-adapter:no-drop": 1e-3}, points=1)
    assert grids == {"r-adapter:r-4": (1e-2,), "r-adapter:no-drop": (1e-3,)}


def test_the_smallest_rate_within_one_paired_standard_error_of_the_best_is_chosen():
    found = {
        1e-4: measured("1100000000"),  # 5 of 10 images behind the best, with an error of 1.67 of them
        1e-3: measured("1111110000"),  # 1 behind, with an error of 1
        1e-2: measured("1111111000"),
        1e-1: measured("1111110000"),
    }
    search = choose_rate(found, TOP1, name="full")
    assert (search.best, search.chosen, search.at_edge) == (1e-2, 1e-3, False)


def test_the_error_is_that_of_the_difference_and_not_of_the_score():
    best = "1" * 60 + "0" * 40
    found = {1e-3: measured("1" * 56 + "0" * 44), 1e-2: measured(best), 1e-1: measured("0" * 100)}
    # 4 images behind with an error of 2.0 points; the score's own error would be 4.9 and choose 1e-3
    assert choose_rate(found, TOP1, name="full").chosen == 1e-2


def test_of_equal_scores_the_best_is_the_one_with_the_lower_loss():
    found = {1e-3: measured("10", nll=1.0), 1e-2: measured("10", nll=0.9), 1e-1: measured("00")}
    search = choose_rate(found, TOP1, name="full")
    assert (search.best, search.chosen) == (1e-2, 1e-3)


@pytest.mark.parametrize(("scores", "at_edge"), [("310", True), ("013", True), ("131", False), ("3", False)])
def test_the_best_rate_at_an_end_of_the_grid_is_at_the_edge(scores, at_edge):
    found = {10.0**k: measured("1" * int(score) + "0" * (3 - int(score))) for k, score in enumerate(scores)}
    assert choose_rate(found, TOP1, name="full").at_edge is at_edge


def test_a_best_rate_at_the_edge_is_reported_and_a_chosen_one_is_not():
    found = {
        "full": {1e-4: measured("1110"), 1e-3: measured("1100"), 1e-2: measured("0000")},
        "lora": {1e-4: measured("1100"), 1e-3: measured("1110"), 1e-2: None, 1e-1: measured("0000")},
    }
    search = {name: choose_rate(of, TOP1, name=name) for name, of in found.items()}
    assert search["lora"].chosen == 1e-4
    (line,) = edge_lines(search)
    assert line == (
        "full: the best of its 3 learning rates, 0.0001, is the edge of the grid; set compare.rates to "
        "{full: 0.0001} to search around it."
    )
    assert line in search_markdown(search, TOP1)
    assert "| lora | **0.0001: 50.0** | 0.001: 75.0 | 0.01: diverged | 0.1: 0.0 |" in search_markdown(
        search, TOP1
    )


def test_a_rate_that_diverges_is_never_chosen():
    search = choose_rate({1e-3: None, 1e-2: measured("10"), 1e-1: None}, TOP1, name="full")
    assert (search.best, search.chosen) == (1e-2, 1e-2)
    with pytest.raises(DivergedError, match=r"full diverged at each of its learning rates, 0\.1, 1"):
        choose_rate({0.1: None, 1.0: None}, TOP1, name="full")


def test_choosing_a_rate_reads_no_test_set(tmp_path: Path, suite, recipe, load):
    class Untouchable:
        """Images that must not be read; the leak guard only compares content hashes."""

        def image(self, index):
            raise AssertionError("a test set was read")

    def blinded(sets):
        return {name: replace(data, images=Untouchable()) for name, data in sets.items()}

    blind = replace(suite, id_test=blinded(suite.id_test), ood=blinded(suite.ood))
    store = RunStore(tmp_path, load, lambda _: blind, replace(recipe, epochs=1))
    found = choose_learning_rate(store, "r-adapter", grid=[1e-3, 1e-2], seed=0).learning_rates
    assert set(found) == {1e-3, 1e-2}
    assert found[1e-3] != found[1e-2]


def test_choosing_a_rate_needs_validation(tmp_path: Path, suite, recipe, load):
    store = RunStore(tmp_path, load, lambda _: replace(suite, id_val=None), recipe)
    with pytest.raises(ConfigError, match="id_val"):
        choose_learning_rate(store, "full", grid=[1e-3], seed=0)


def test_a_comparison_continues_without_a_rate_that_diverges(tmp_path: Path, suite, recipe, load, caplog):
    lines: list[str] = []

    def once():
        quick = replace(recipe, epochs=1, max_skipped=1, warmup_steps=0, grad_clip=None)
        store = RunStore(tmp_path, load, lambda _: suite, quick, starting=lines.append)
        methods = [METHODS["full"], METHODS["uniform-soup"]]
        return compare_methods(methods, store, grids={"full": [1e-4, 1e-3, 1e30]}, seeds=[0])

    found = once()
    assert found.rates["full"].learning_rates[1e30] is None
    assert found.learning_rates["full"] in (1e-4, 1e-3)
    assert "full diverges at learning rate 1e+30" in caplog.text
    assert found.report().search["full"].learning_rates[1e30] is None
    count = len(lines)
    assert once() == found  # what diverged is not tried again
    assert len(lines) == count


def test_a_method_that_diverges_at_every_rate_or_at_a_seed_has_no_row_and_the_others_have(
    tmp_path: Path, suite, recipe, load
):
    quick = replace(recipe, epochs=1, max_skipped=1, warmup_steps=0, grad_clip=None)
    store = RunStore(tmp_path, load, lambda _: suite, quick)
    grids = {"full": [1e30], "linear-probe": [1e-2], "flyp": [1e-5]}
    methods = [METHODS[name] for name in ("full", "wise-ft", "linear-probe", "flyp")]
    later = store.folder(METHODS["flyp"], (1e-5,), 1)
    later.mkdir(parents=True)
    (later / "diverged.txt").write_text("flyp, learning rate 1e-05, seed 1: not finite.")
    found = compare_methods(methods, store, grids=grids, seeds=[0, 1])
    assert [[row.method for row in each.rows] for each in found.results] == [
        ["zero-shot", "linear-probe"]
    ] * 2
    assert found.diverged.keys() == {"full", "wise-ft", "flyp"}
    assert "full diverged at each of its learning rates, 1e+30" in found.diverged["wise-ft"]
    assert "seed 1" in found.diverged["flyp"]
    assert found.report().diverged == found.diverged
    with pytest.raises(DivergedError, match="full diverged"):
        compare_methods(methods[:1], store, grids={"full": [1e30]}, seeds=[0])


def test_a_comparison_chooses_rates_on_the_first_seed_and_reports_the_mean_of_all(
    tmp_path: Path, suite, recipe, load
):
    lines: list[str] = []
    store = RunStore(
        tmp_path / "trainings", load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append
    )
    methods = [METHODS["full"], METHODS["wise-ft"]]
    found = compare_methods(methods, store, grids={"full": [1e-4, 1e-3]}, seeds=[9, 1])
    assert (
        len(lines) == 3
    )  # two rates at the first seed, one at the second: wise-ft shares the training of full
    assert lines[:2] == [
        "[1/3] training full, rate 0.0001, seed 9",
        "[2/3] training full, rate 0.001, seed 9",
    ]
    assert lines[2].startswith("[3/3] training full, rate 0.")
    assert [r.seed for r in found.results] == [9, 1]
    assert {r.row("full").learning_rate for r in found.results} == {found.learning_rates["full"]}
    text = write_study(tmp_path / "out", found.report(), title="A comparison", command="python run.py")
    assert "2 seeds, mean" in text
    chosen = found.rates["full"].chosen
    assert f"**{chosen:g}: {100 * found.rates['full'].learning_rates[chosen]['top1']:.1f}**" in text
    assert found.levels is not None
    assert found.levels.resamples == 1000  # from the figures of single images that the trainings keep
    assert all(figure.interval is not None for figure in found.levels.methods["wise-ft"].ood if figure.mean)
    assert {"frontier.png", "results.json", "results.md"} <= {f.name for f in (tmp_path / "out").iterdir()}


def test_results_have_the_grid_the_best_and_the_chosen_rate_of_each_training(
    tmp_path: Path, suite, recipe, load
):
    store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1))
    found = compare_methods([METHODS["full"]], store, grids={"full": [1e-4, 1e-3]}, seeds=[0])
    found.report().write(tmp_path)
    search = json.loads((tmp_path / "results.json").read_text())["search"]["full"]
    assert set(search["learning_rates"]) == {"0.0001", "0.001"}
    assert search["best"] in (1e-4, 1e-3)
    assert search["chosen"] == found.learning_rates["full"]
    assert search["at_edge"] is True
    assert Results.read(tmp_path) == found.report()


def test_a_comparison_started_again_does_nothing_twice(tmp_path: Path, suite, recipe, load):
    lines: list[str] = []

    def once():
        store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append)
        return compare_methods([METHODS["full"]], store, grids={"full": [1e-4, 1e-3]}, seeds=[0, 1])

    first, second = once(), once()
    assert len(lines) == 3  # the chosen training of the search is the first seed's
    assert first == second


def test_rates_that_were_not_chosen_leave_their_accuracy_and_no_weights(tmp_path: Path, suite, recipe, load):
    store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1))
    found = compare_methods([METHODS["full"]], store, grids={"full": [1e-4, 1e-2]}, seeds=[0])
    (loser,) = {1e-4, 1e-2} - {found.learning_rates["full"]}
    left = {f.name for f in (tmp_path / f"full/seed-0/lr-{loser:g}").iterdir()}
    assert left == {"validation.json", "validation.safetensors", "manifest.json"}


def test_soups_mix_the_trainings_of_the_grid(tmp_path: Path, suite, recipe, load):
    lines: list[str] = []
    store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1), starting=lines.append)
    methods = [METHODS[name] for name in ("full", "uniform-soup", "greedy-soup")]
    found = compare_methods(methods, store, grids={"full": [1e-4, 1e-3]}, seeds=[0, 1])
    assert [line[:5] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]  # two rates at two seeds
    weights = [store.trained(METHODS["full"], rate, 1).classifier.state_dict() for rate in (1e-4, 1e-3)]
    mixed = store.mixed(METHODS["uniform-soup"], (1e-4, 1e-3), 1).classifier.state_dict()
    for name, tensor in mixed.items():
        assert torch.allclose(tensor, (weights[0][name] + weights[1][name]) / 2, atol=1e-6)
    assert found.results[1].row("uniform-soup").selection.split == "id_val"


def test_weight_rules_use_the_training_at_the_chosen_rate(tmp_path: Path, suite, recipe, load):
    started: list[str] = []
    store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1), starting=started.append)
    methods = [METHODS[name] for name in ("full", "lines", "model-stock")]
    found = compare_methods(methods, store, grids={"full": [1e-4, 1e-3]}, seeds=[0])
    assert len(started) == 3  # two rates, and a second draw at the chosen one
    chosen = found.learning_rates["full"]
    assert {row.learning_rate for row in found.results[0].rows[1:]} == {chosen}
    second = store.trained(METHODS["full"], chosen, 0, draw=1).classifier.state_dict()
    first = store.trained(METHODS["full"], chosen, 0).classifier.state_dict()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    compare_methods(methods, store, grids={"full": [1e-4, 1e-3]}, seeds=[0])
    assert len(started) == 3  # all were kept


def test_a_soup_of_other_rates_is_another_soup(tmp_path: Path, suite, recipe, load):
    store = RunStore(tmp_path, load, lambda _: suite, replace(recipe, epochs=1))
    narrow, wide = (
        store.mixed(METHODS["uniform-soup"], rates, 0).classifier.state_dict()
        for rates in ((1e-4,), (1e-4, 1e-3))
    )
    assert any(not torch.equal(narrow[name], wide[name]) for name in wide)
