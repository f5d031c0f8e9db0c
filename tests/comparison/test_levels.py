"""OOD at fixed ID levels over methods and seeds: by hand, and against a literal bootstrap."""

import numpy as np
import pytest

from radapter.comparison.levels import levels_over_seeds
from radapter.evaluation.frontiers import ood_at
from radapter.runs.alpha_sweep import zero_shot_row
from radapter.runs.results import Results, Row, Selection, SweepRow

START = (0.5, 0.6)
# WiSE-FT reaches the ID of full fine-tuning, R-Adapter half of its gain with more OOD.
CURVES = {
    "full": [START, (0.9, 0.3)],
    "wise-ft": [START, (0.8, 0.5), (0.9, 0.3)],
    "r-adapter": [START, (0.7, 0.7)],
}


def results(seed=0, curves=CURVES, shift=0.0):
    """One seed; `shift` moves the ID of every point that was trained."""

    def point(method, alpha, place):
        id_, ood = place if alpha == 0 else (place[0] + shift, place[1])
        sets = {"id": {"photo": {"top1": id_, "n": 10}}, "ood": {"sketch": {"top1": ood, "n": 10}}}
        return SweepRow.of(method, alpha, id_val=None, **sets)

    zero_shot = point("zero-shot", 0.0, START)
    sweep = [
        point(method, number / (len(path) - 1), place)
        for method, path in curves.items()
        for number, place in enumerate(path)
    ]
    rows = [
        Row(
            **at.figures(),
            method=at.method,
            alphas=[at.alpha],
            selections=[None],
            trained_parameters=1,
            learning_rate=0.1,
            forgetting={},
            seconds=1,
        )
        for at in sweep
        if at.alpha == 1
    ]
    return Results(
        model="m",
        fingerprint="f",
        seeds=[seed],
        selection=Selection(split=None, rule="a rule", n=0),
        rows=[zero_shot_row(zero_shot), *rows],
        sweep=[zero_shot, *sweep],
    )


def oods(levels, method):
    return [figure.mean for figure in levels.methods[method].ood]


def test_every_method_is_read_at_the_same_id():
    levels = levels_over_seeds([results()])
    assert levels.id == pytest.approx([0.6, 0.7, 0.8, 0.86])
    assert (levels.best, levels.best_id, levels.zero_shot_id) == ("full", 0.9, 0.5)
    assert oods(levels, "wise-ft") == pytest.approx([0.6 - 0.1 / 3, 0.6 - 0.2 / 3, 0.5, 0.38])


def test_a_level_beyond_the_curve_is_not_reached():
    levels = levels_over_seeds([results()])
    assert oods(levels, "r-adapter") == [pytest.approx(0.7), pytest.approx(0.7), None, None]


def test_a_method_at_a_fixed_alpha_is_one_point():
    # full fine-tuning is not interpolated: its OOD is that of alpha 1 at every level
    levels = levels_over_seeds([results()])
    assert oods(levels, "full") == pytest.approx([0.3] * 4)
    assert levels.methods["full"].hypervolume.mean == 0.0  # 30 points below zero-shot
    assert levels.methods["r-adapter"].hypervolume.mean == pytest.approx(0.2 * 0.3 / (0.5 * 0.6))


def test_a_new_row_does_not_move_the_levels():
    more = CURVES | {"linear-probe": [START, (1.0, 0.1)]}
    assert levels_over_seeds([results(curves=more)]).id == levels_over_seeds([results()]).id


def test_without_the_methods_that_set_levels_the_best_of_all_does():
    levels = levels_over_seeds([results(curves={"l2-sp": CURVES["wise-ft"], "lp-ft": CURVES["r-adapter"]})])
    assert (levels.best, levels.against) == ("l2-sp", None)


def test_without_a_gain_there_are_no_levels():
    levels = levels_over_seeds([results(curves={"full": [START, (0.4, 0.3)]})])
    assert (levels.id, levels.methods["full"].ood) == ([], [])


def test_without_ood_sets_there_is_nothing_to_read():
    one = results()
    rows = [row.model_copy(update={"ood": {}, "ood_mean": None}) for row in one.rows]
    assert levels_over_seeds([one.model_copy(update={"rows": rows})]) is None


def test_levels_are_of_the_mean_curve_and_every_seed_is_read_there():
    levels = levels_over_seeds([results(0), results(1, shift=0.02)])
    assert levels.best_id == pytest.approx(0.91)
    third = levels.methods["wise-ft"].ood[2]
    assert third.mean == pytest.approx(np.mean(third.each))
    assert third.std == pytest.approx(np.std(third.each, ddof=1))


def test_a_level_that_some_seeds_reach_is_the_mean_of_these():
    # the level at 50 % lies at 0.71 of ID: R-Adapter ends at 0.70 and 0.74, 0.72 in the mean
    levels = levels_over_seeds([results(0), results(1, shift=0.04)])
    second = levels.methods["r-adapter"].ood[1]
    assert second.each == [None, pytest.approx(0.7)]
    assert (second.mean, second.std) == (pytest.approx(0.7), None)


def test_the_mean_curve_is_over_the_alphas_that_every_seed_has():
    # `evaluation.alphas: chosen` evaluates 0, 1 and each seed's own alpha
    first, second = results(0), results(1)
    shorter = [point for point in second.sweep if (point.method, point.alpha) != ("wise-ft", 0.5)]
    levels = levels_over_seeds([first, second.model_copy(update={"sweep": shorter})])
    straight = levels_over_seeds([results(curves=CURVES | {"wise-ft": [START, (0.9, 0.3)]})])
    assert levels.methods["wise-ft"].ood[0].each[1] == oods(straight, "wise-ft")[0]


def test_differences_are_taken_seed_by_seed():
    levels = levels_over_seeds([results(0), results(1, shift=0.02)])
    mine, theirs = levels.methods["full"], levels.methods["wise-ft"]
    assert (levels.against, theirs.difference) == ("wise-ft", None)
    assert mine.difference[0].each == pytest.approx(np.subtract(mine.ood[0].each, theirs.ood[0].each))


@pytest.fixture(scope="module")
def images():
    """For each seed: method -> "alpha/role/name" -> (N,), whether each image is right; nested along alpha."""
    found = []
    for seed in range(2):
        luck = {
            name: np.random.default_rng((seed, n)).uniform(size=400) for n, name in enumerate(("id", "ood"))
        }
        found.append(
            {
                method: {
                    f"{number / (len(path) - 1):g}/{role}/{name}": (luck[role] < place[axis]).astype(
                        np.float32
                    )
                    for number, place in enumerate(path)
                    for axis, (role, name) in enumerate((("id", "photo"), ("ood", "sketch")))
                }
                for method, path in CURVES.items()
            }
        )
    return found


def literal(images, method, level):
    """(R,), OOD at a level, averaged over seeds, image by image and resample by resample."""
    draws = [
        np.random.default_rng((20240805, number)).multinomial(400, [1 / 400] * 400, size=200)
        for number in range(2)
    ]
    figures = []
    for resample in range(200):
        of_seeds = []
        for of_seed in images:
            alphas = sorted({key.split("/")[0] for key in of_seed[method]}, key=float)
            alphas = alphas[-1:] if method == "full" else alphas
            path = [
                tuple(
                    np.repeat(of_seed[method][f"{alpha}/{key}"], draws[number][resample]).mean()
                    for number, key in enumerate(("id/photo", "ood/sketch"))
                )
                for alpha in alphas
            ]
            of_seeds.append(ood_at(path, level))
        figures.append(-np.inf if None in of_seeds else np.mean(of_seeds))
    return np.array(figures)


def measured(images):
    """Results whose accuracies are those of the images."""

    def curve(of_method):
        alphas = sorted({key.split("/")[0] for key in of_method}, key=float)
        return [
            tuple(float(of_method[f"{a}/{k}"].mean()) for k in ("id/photo", "ood/sketch")) for a in alphas
        ]

    one = [
        results(seed, {name: curve(of) for name, of in of_seed.items()})
        for seed, of_seed in enumerate(images)
    ]
    return one


def test_intervals_are_those_of_a_literal_paired_bootstrap(images):
    levels = levels_over_seeds(measured(images), images, resamples=200)
    level = levels.id[0]
    drawn = {name: literal(images, name, level) for name in ("wise-ft", "r-adapter")}
    for name, of_name in drawn.items():
        found = levels.methods[name].ood[0].interval
        ends = np.quantile(of_name, [0.025, 0.975], method="inverted_cdf")
        assert (found.low, found.high) == pytest.approx(tuple(ends))
    gap = levels.methods["r-adapter"].difference[0].interval
    gaps = drawn["r-adapter"] - drawn["wise-ft"]
    ends = np.quantile(gaps[np.isfinite(gaps)], [0.025, 0.975], method="inverted_cdf")
    assert (gap.low, gap.high) == pytest.approx(tuple(ends))


def test_pairing_makes_a_difference_more_certain_than_its_parts(images):
    levels = levels_over_seeds(measured(images), images, resamples=200)
    of = levels.methods["r-adapter"]
    width = of.difference[0].interval.high - of.difference[0].interval.low
    assert width < of.ood[0].interval.high - of.ood[0].interval.low


def test_an_interval_is_open_where_resamples_do_not_reach_the_level(images):
    levels = levels_over_seeds(measured(images), images, resamples=200)
    last = levels.methods["full"].ood[3]
    assert last.mean is not None
    assert (last.interval.low, last.interval.high is not None) == (None, True)


def test_without_figures_of_images_there_is_no_interval():
    levels = levels_over_seeds([results()])
    assert levels.resamples is None
    assert levels.methods["wise-ft"].ood[0].interval is None
