"""What is said where alpha 0 was chosen."""

from statistics import fmean

import pytest

from radapter.report import chosen_alpha, kept_zero_shot
from radapter.runs.results import Results

KEPT = {
    "split": "id_val",
    "rule": "a rule",
    "n": 26,
    "score": 0.731,
    "best_alpha": 0.8,
    "best_score": 0.808,
    "paired_error": 0.091,
}


@pytest.fixture
def at(results):
    """Results whose LoRA has these alphas, each chosen by the selection beside it."""

    def at(*chosen):
        alphas, selections = zip(*chosen, strict=True)
        zero_shot, lora = results["rows"][0], results["rows"][3] | {"method": "lora"}
        zero_shot |= {"alphas": [0.0] * len(chosen), "selections": [None] * len(chosen)}
        lora |= {"alpha": fmean(alphas), "alphas": alphas, "selections": selections}
        seeds = list(range(len(chosen)))
        return Results.model_validate(results | {"rows": [zero_shot, lora], "seeds": seeds})

    return at


def test_alpha_zero_is_explained_with_a_folder_that_is_free(at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "merged").mkdir()
    assert kept_zero_shot(at((0.0, KEPT)), run="a")[0].endswith("--out merged-2")


def test_alpha_zero_is_explained_with_n_the_error_the_best_and_the_remedy(at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (said,) = kept_zero_shot(at((0.0, KEPT)), run="runs/my run")
    assert said == (
        "lora: alpha 0 was chosen, so the zero-shot model was kept unchanged. On the 26 validation images the best "
        "alpha, 0.8, scores 7.7 points more, within one paired standard error (9.1 points). Add validation images, "
        "or choose yourself: radapter merge 'runs/my run' --alpha 0.8 --out merged"
    )
    assert len(said) < 4 * 80


def test_where_no_alpha_is_better_nothing_is_merged(at):
    selection = KEPT | {"best_alpha": 0.0, "best_score": 0.731, "paired_error": 0.0}
    (said,) = kept_zero_shot(at((0.0, selection)), run="runs/a")
    assert "No other alpha scores more on the 26 validation images" in said
    assert "merge" not in said


@pytest.mark.parametrize(
    ("alpha", "selection"), [(0.1, KEPT), (0.0, {"split": None, "rule": "given", "n": 0}), (0.0, None)]
)
def test_nothing_is_said_of_another_alpha_or_one_that_was_given(at, alpha, selection):
    assert kept_zero_shot(at((alpha, selection))) == []


def test_the_choice_is_reported_with_n_the_best_and_the_error(at):
    (said,) = chosen_alpha(at((0.1, KEPT)))
    assert said == (
        "lora: alpha 0.1 is the a rule on 26 ID validation images. The best alpha, 0.8, scores 7.7 points higher; "
        "the standard error is 9.1 points."
    )
    (said,) = chosen_alpha(at((0.8, KEPT)))
    assert said.endswith("It is also the best alpha.")
    assert chosen_alpha(at((0.0, KEPT))) == []


def test_seeds_that_kept_zero_shot_are_counted(at):
    (said,) = kept_zero_shot(at((0.0, KEPT), (0.4, KEPT | {"best_alpha": 0.4}), (0.0, KEPT)))
    assert "alpha 0 was chosen at 2 of 3 seeds" in said
    assert "train it alone and merge it at an alpha of your own" in said
