"""Classes that were not trained on: their own heads, and the harmonic means."""

from dataclasses import replace

import pytest

import radapter
from radapter.comparison.compare import Compared, compare_at_seed
from radapter.comparison.generalisation import base_to_novel
from radapter.comparison.over_seeds import over_seeds
from radapter.comparison.store import RunStore
from radapter.data import EvalLoader, open_classification
from radapter.errors import ConfigError
from radapter.evaluation import ClassificationMeasure, measured
from radapter.methods import METHODS
from radapter.report.study import base_to_novel_markdown
from radapter.runs.alpha_sweep import zero_shot_row
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.runs.results import Results, Selection, SweepRow
from radapter.tasks.classification import TransferSet
from radapter.zeroshot import LinearHead, class_embeddings, templates


@pytest.fixture(scope="module")
def generalising(suite):
    """Twenty classes of the world: ten are trained on, ten are novel; a third task has other names for three."""

    def split(name: str, size: int, **options):
        return open_classification({"world": name, "size": size, "seed": 3, **options})

    base = split("train", 80, half="base", shots=2)
    names = base.classnames
    novel = split("id_test", 60, half="novel")
    few = split("photo", 60, classes=["star", "sun", "heart", *map(str, range(17))], labels=_only_three())
    return replace(
        suite,
        train=base,
        id_val=split("id_val", 60, half="base"),
        id_test={"base": split("id_test", 60, half="base")},
        ood={},
        classnames=names,
        transfer={
            "novel": TransferSet(novel, templates("short")),
            "three": TransferSet(few, ("a drawing of a {}.",)),
        },
    )


def _only_three():
    return {str(number): None for number in range(17)}


def results(base: float, novel: float | None, seed: int = 0) -> Results:
    transfer = {} if novel is None else {"novel": {"top1": novel}}
    row = SweepRow.of("zero-shot", 0.0, id_val=None, id={"base": {"top1": base}}, ood={}, transfer=transfer)
    return Results(
        model="m",
        fingerprint="f",
        seeds=[seed],
        selection=Selection(split=None, rule="nothing was selected", n=0),
        rows=[zero_shot_row(row)],
        sweep=[row],
    )


def test_a_transfer_set_is_classified_among_its_own_names_with_its_own_templates(generalising, recipe):
    encoder = radapter.load("world:tiny")
    row = Evaluator(generalising, encoder, recipe).zero_shot(encoder).rows[0]
    assert len(generalising.train.classnames) == 10
    assert row.transfer.keys() == {"novel", "three"}
    for name, other in generalising.transfer.items():
        embeddings = class_embeddings(encoder, other.data.classnames, other.templates)
        head = LinearHead.zero_shot(embeddings, encoder.logit_scale)
        loader = EvalLoader(other.data, encoder.preprocess, batch_size=64)
        own = measured(encoder, ClassificationMeasure(encoder, lambda head=head: head, loader)).metrics
        assert row.transfer[name]["nll"] == pytest.approx(own["nll"], rel=1e-5)
        assert row.transfer[name]["n"] == len(other.data)


@pytest.mark.parametrize("method", ["r-adapter", "r-adapter+head"])
def test_every_alpha_has_transfer_sets_and_zero_is_zero_shot(generalising, recipe, method):
    trained = train_method(METHODS[method], radapter.load("world:tiny"), generalising, recipe, seed=0)
    encoder = radapter.load("world:tiny")
    evaluator = Evaluator(generalising, encoder, recipe)
    zero_shot = evaluator.zero_shot(encoder).rows[0]
    start, end = evaluator.sweep(trained, None, (0.0, 1.0)).rows
    assert start.transfer["novel"]["nll"] == pytest.approx(zero_shot.transfer["novel"]["nll"], rel=1e-5)
    assert end.transfer["novel"]["nll"] != pytest.approx(zero_shot.transfer["novel"]["nll"], rel=1e-3)


def test_a_method_with_a_trained_head_uses_the_text_tower_as_it_was_for_other_classes(generalising, recipe):
    trained = train_method(METHODS["full"], radapter.load("world:tiny"), generalising, recipe, seed=0)
    encoder = trained.classifier.encoder
    swept = Evaluator(generalising, encoder, recipe).sweep(trained, None, (1.0,)).rows[0]
    novel = generalising.transfer["novel"]
    embeddings = class_embeddings(radapter.load("world:tiny"), novel.data.classnames, novel.templates)
    head = LinearHead.zero_shot(embeddings, encoder.logit_scale)
    loader = EvalLoader(novel.data, encoder.preprocess, batch_size=64)
    own = measured(encoder, ClassificationMeasure(encoder, lambda: head, loader)).metrics
    assert swept.transfer["novel"]["nll"] == pytest.approx(own["nll"], rel=1e-4)


def test_a_comparison_reports_transfer_forgetting_and_the_harmonic_mean(tmp_path, generalising, recipe):
    store = RunStore(tmp_path, lambda: radapter.load("world:tiny"), lambda _: generalising, recipe)
    found = compare_at_seed([METHODS["r-adapter"]], store, seed=0)
    zero_shot, row = found.rows
    assert row.kept == pytest.approx(sum(m["top1"] for m in row.transfer.values()) / 2)
    b, n = row.id_mean, row.kept
    assert row.harmonic_mean == pytest.approx(2 * b * n / (b + n))
    lost = zero_shot.transfer["novel"]["top1"] - row.transfer["novel"]["top1"]
    assert row.forgetting["novel"] == pytest.approx(lost)
    assert Results.read(found.write(tmp_path).parent) == found


def test_both_harmonic_means_by_hand():
    found = base_to_novel([results(0.8, 0.4), results(0.6, 0.6)], "zero-shot")
    assert (found.runs, found.base, found.novel) == (2, pytest.approx(0.7), pytest.approx(0.5))
    assert found.mean_of_harmonic == pytest.approx((0.64 / 1.2 + 0.6) / 2)
    assert found.harmonic_of_means == pytest.approx(0.7 / 1.2)


def test_over_seeds_the_harmonic_mean_is_the_mean_of_each_seeds():
    merged = over_seeds([results(0.8, 0.4, seed=0), results(0.6, 0.6, seed=1)])
    row = merged.rows[0]
    assert row.harmonic_mean == pytest.approx((0.64 / 1.2 + 0.6) / 2)
    assert row.harmonic_of_means == pytest.approx(0.7 / 1.2)
    assert (row.kept, row.transfer["novel"]["top1"]) == (pytest.approx(0.5), 0.5)
    assert row.spread.kept == pytest.approx(0.02**0.5)


def test_a_comparison_shows_both_harmonic_means():
    comparison = Compared({}, [results(0.8, 0.4, seed=0), results(0.6, 0.6, seed=1)])
    assert "| zero-shot | 70.0 | 50.0 | 56.7 | 58.3 |" in base_to_novel_markdown(comparison.report())


@pytest.mark.parametrize(
    ("found", "method", "message"),
    [
        ([], "zero-shot", "at least one run"),
        ([results(0.5, 0.5)], "full", "one of zero-shot, the rows of every run. Got 'full'"),
        ([results(0.5, None)], "zero-shot", "Give data.transfer"),
    ],
)
def test_runs_without_the_averaged_figures_are_refused(found, method, message):
    with pytest.raises(ConfigError, match=message):
        base_to_novel(found, method)
