import json
from pathlib import Path

import pytest
import torch

from radapter.errors import DamagedError, RunError
from radapter.evaluation import HEADLINES
from radapter.runs.alpha_sweep import AlphaRule, AlphaSweep, zero_shot_row
from radapter.runs.merging import alpha_to_merge
from radapter.runs.results import Results, Selection, SweepRow


def metrics(top1: float, n: int = 100) -> dict[str, float]:
    return {"top1": top1, "top5": 1.0, "mean_per_class": top1, "ece": 0.1, "nll": 1.0, "n": n}


def sweep_row(alpha: float, id_val: float) -> SweepRow:
    ood = {"sketch": metrics(0.4), "neon": metrics(0.2)}
    return SweepRow.of("r-adapter", alpha, id_val=metrics(id_val), id={"photo": metrics(0.7)}, ood=ood)


def swept(*scores: tuple[float, float]) -> AlphaSweep:
    """Alphas and their accuracies on 100 validation images, the first of which are right."""
    rows = [sweep_row(*each) for each in scores]
    return AlphaSweep(
        rows,
        {row.alpha: row.id_val for row in rows if row.id_val is not None},
        {f"{a:g}/id_val/id_val": (torch.arange(100) < round(100 * score)).float() for a, score in scores},
    )


def results() -> Results:
    zero_shot = sweep_row(0.0, 0.5)
    return Results(
        model="world:tiny",
        fingerprint="0" * 64,
        seeds=[0],
        selection=Selection(split="id_val", rule="a rule", n=100),
        rows=[zero_shot_row(zero_shot)],
        sweep=[zero_shot],
    )


def test_means_are_over_sets_each_counting_once():
    row = sweep_row(0.5, 0.6)
    assert row.id_mean == pytest.approx(0.7)
    assert row.ood_mean == pytest.approx(0.3)


def test_no_ood_set_gives_no_mean():
    assert SweepRow.of("full", 1.0, id_val=None, id={"a": metrics(0.5)}, ood={}).ood_mean is None


def test_the_file_follows_the_published_schema_and_reads_back(tmp_path: Path):
    path = results().write(tmp_path)
    content = json.loads(path.read_text())
    assert content["schema"] == 3
    assert {"model", "task", "seeds", "selection", "rows", "sweep"} <= content.keys()
    assert {
        "method",
        "alpha",
        "trained_parameters",
        "id",
        "ood",
        "id_mean",
        "ood_mean",
        "seconds",
    } <= content["rows"][0].keys()
    assert Results.read(tmp_path) == results()


def test_a_file_of_another_schema_is_refused(tmp_path: Path):
    path = results().write(tmp_path)
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 1'))
    with pytest.raises(RunError, match=r"was written by schema 1; this radapter reads 3"):
        Results.read(tmp_path)


def test_a_file_that_does_not_follow_its_schema_is_damaged(tmp_path: Path):
    path = results().write(tmp_path)
    path.write_text(path.read_text().replace('"rows"', '"lines"'))
    with pytest.raises(DamagedError, match="is damaged: rows: field required"):
        Results.read(tmp_path)


@pytest.mark.parametrize("name", ["world", "pacs", "demo", "retrieval", "regions"])
def test_the_results_of_a_comparison_are_of_the_same_type(name: str):
    found = Results.read(Path(__file__).parents[2] / "benchmarks" / name)
    assert all((row.spread is None) == (len(found.seeds) == 1) for row in (*found.rows, *found.sweep))


def set_alphas(content):
    content["rows"][0]["alphas"] = [0.0, 0.0]


def rename_a_set(content):
    content["sweep"][0]["ood"]["fog"] = content["sweep"][0]["ood"].pop("neon")


def remove_the_figure(content):
    del content["rows"][0]["id"]["photo"]["top1"]


def remove_the_ood_mean(content):
    content["rows"][0]["ood_mean"] = None


def remove_a_score(content):
    content["selection"] |= {"score": 0.5, "best_alpha": 0.5, "best_score": 0.6}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_alphas, "zero-shot must have an alpha and a selection of each seed"),
        (rename_a_set, "r-adapter at alpha 0 must have the same ood sets as the first row"),
        (remove_the_figure, "zero-shot at alpha 0 must have top1 of every set"),
        (remove_the_ood_mean, "ood_mean must be null without OOD sets only"),
        (remove_a_score, "score, best_alpha, best_score and paired_error must be given together"),
    ],
)
def test_values_that_do_not_fit_each_other_are_damage(tmp_path: Path, change, said: str):
    path = results().write(tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedError, match=said):
        Results.read(tmp_path)


def test_a_merge_at_alpha_0_proposes_the_best_alpha_of_its_method_and_seed(tmp_path: Path):
    chosen = Selection(
        split="id_val", rule="a rule", n=9, score=0.5, best_alpha=0.6, best_score=0.6, paired_error=0.2
    )
    one = results()
    zero_shot = one.rows[0].model_copy(update={"alphas": [0.0, 0.0], "selections": [None, None]})
    lora = zero_shot.model_copy(update={"method": "lora", "selections": [None, chosen]})
    one.model_copy(update={"seeds": [0, 1], "rows": [zero_shot, lora]}).write(tmp_path)
    for seed, said in ((1, r"such as --alpha 0\.6, the best on ID validation"), (0, r"such as --alpha 0\.5")):
        with pytest.raises(RunError, match=said):
            alpha_to_merge(tmp_path, {"alpha": 0.0, "method": "lora", "seed": seed}, None)


def test_kept_is_the_mean_over_the_transfer_sets():
    sets = {"colour": metrics(0.9), "pattern": metrics(0.5)}
    row = SweepRow.of("full", 1.0, id_val=None, id={"a": metrics(0.5)}, ood={}, transfer=sets)
    assert row.kept == pytest.approx(0.7)
    assert sweep_row(0.5, 0.6).kept is None


def test_auto_takes_the_smallest_alpha_within_one_paired_standard_error():
    # the best is 0.80 at n = 100. One image less is within its error, 0.01; three are not: 0.03 > 0.017. The
    # error of one accuracy, 0.04, would take 0.4 for as good
    sweep = swept((0.0, 0.5), (0.2, 0.75), (0.4, 0.77), (0.5, 0.79), (0.6, 0.80), (1.0, 0.79))
    alpha, selection = AlphaRule("auto").choose(sweep.on_validation(), HEADLINES["classification"])
    assert alpha == 0.5
    assert (selection.split, selection.n) == ("id_val", 100)
    assert (selection.best_alpha, selection.best_score, selection.score) == (0.6, 0.80, 0.79)
    assert selection.paired_error == pytest.approx(0.01)


def test_a_given_alpha_is_taken_and_nothing_selected():
    alpha, selection = AlphaRule(0.5).choose({}, HEADLINES["classification"])
    assert (alpha, selection.split) == (0.5, None)
