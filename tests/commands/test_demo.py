"""The main job, as `radapter demo` does it, on a seed that chose nothing."""

import pytest

from radapter.commands.demo import demo
from radapter.methods import groups_of
from radapter.report.files import FILES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The results and the folder of one demo; its shifted sets are small, since most of its time goes there."""
    out = tmp_path_factory.mktemp("demo") / "radapter-demo"
    return demo(out, seed=7, id_size=200, ood_size=40, kept_size=60), out


def test_it_compares_every_method_and_leaves_table_and_image(shown):
    results, out = shown
    assert [row.method for row in results.rows] == list(groups_of("classification")["foundation"])
    assert {file.name for file in out.iterdir()} == set(FILES)


def test_full_fine_tuning_gains_on_its_own_data_and_interpolation_has_more_ood(shown):
    # how much full fine-tuning loses under shift depends on its rate: 10 points at 3e-4, less at the demo's 1e-4
    results, _ = shown
    base, full = results.row("zero-shot"), results.row("full")
    curve = [point for point in results.sweep if point.method == "full"]
    assert full.id_mean > base.id_mean + 0.05
    assert full.ood_mean < max(point.ood_mean for point in curve)


def test_r_adapter_gains_without_that_loss(shown):
    results, _ = shown
    base, adapted = results.row("zero-shot"), results.row("r-adapter")
    assert adapted.id_mean > base.id_mean
    assert adapted.ood_mean > results.row("full").ood_mean
    assert adapted.ood_mean > base.ood_mean - 0.02


def test_what_was_kept_is_shown_beside_zero_shot(shown):
    results, out = shown
    assert all(set(row.transfer) == {"colour", "pattern"} for row in results.rows)
    assert "| ID | OOD | Kept |" in (out / "results.md").read_text()


def test_it_leads_with_ood_at_fixed_id_levels(shown):
    results, out = shown
    assert len(results.levels.id) == 4
    assert (out / "results.md").read_text().startswith("OOD at fixed ID levels")


def test_every_alpha_was_chosen_on_id_validation(shown):
    results, _ = shown
    assert (results.selection.split, results.selection.n) == ("id_val", 400)
