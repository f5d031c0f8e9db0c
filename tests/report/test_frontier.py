"""The frontier: everything drawn is named, and no name covers another."""

from itertools import combinations

import pytest
from matplotlib.text import Text
from PIL import Image

from radapter.report.frontier import draw, frontier_figure, spread
from radapter.runs.results import Results

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"


typed = Results.model_validate


def boxes(figure):
    """Where each text inside the figure stands, in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    # Text's own extent: an annotation's holds the line to its point, which may pass under another label.
    return {text.get_text(): Text.get_window_extent(text, renderer) for text in figure.axes[0].texts}


def test_draw_writes_an_image_of_the_stated_size(results, tmp_path):
    path = draw(typed(results), tmp_path / "frontier.png")
    with Image.open(path) as image:
        assert image.size == (7 * 160, 5.5 * 160)


def test_every_method_is_named_with_its_chosen_alpha_below_1(results):
    texts = set(boxes(frontier_figure(typed(results))))
    assert {"zero-shot", "full", f"wise-ft {ALPHA} 0.4", f"r-adapter {ALPHA} 0.7"} <= texts


def test_of_many_methods_chosen_alphas_are_left_to_the_table(results):
    of = {
        key: [entry for entry in results[key] if entry["method"] == "r-adapter"] for key in ("rows", "sweep")
    }
    for number in range(8):
        for key, entries in of.items():
            results[key] += [
                {**entry, "method": f"r-adapter:{number}", "ood_mean": entry["ood_mean"] - 0.01 * number}
                for entry in entries
            ]
    texts = set(boxes(frontier_figure(typed(results))))
    assert {"r-adapter", "r-adapter:7"} <= texts
    on_the_curve_of_another = {f"wise-ft {ALPHA} 0.4", f"r-adapter:0 {ALPHA} 0.7"}
    assert {text for text in texts if ALPHA in text} == on_the_curve_of_another


@pytest.mark.parametrize(("id_mean", "ood_mean", "drawn"), [(0.02, 0.02, False), (0.02, 0.6, True)])
def test_a_method_far_below_zero_shot_on_both_axes_is_written_and_not_drawn(
    results, id_mean, ood_mean, drawn
):
    fallen = {"id_mean": id_mean, "ood_mean": ood_mean}
    (row,) = (row for row in results["rows"] if row["method"] == "full")
    points = [point for point in results["sweep"] if point["method"] == "full"]
    results["rows"].append({**row, **fallen, "method": "uniform-soup"})
    results["sweep"] += [
        {**point, **(fallen if point["alpha"] else {}), "method": "uniform-soup"} for point in points
    ]
    figure = frontier_figure(typed(results))
    texts = set(boxes(figure))
    assert ("uniform-soup" in texts) == drawn
    assert ("far below, not drawn: uniform-soup (2.0 / 2.0)" in texts) != drawn
    assert (figure.axes[0].get_xlim()[0] < 5) == drawn


@pytest.mark.parametrize("gap", [0.0, 0.002, 0.02, 0.2])
def test_no_label_covers_another_however_close_the_curves(results, gap):
    # All methods end within `gap` of full fine-tuning.
    for point in results["sweep"] + results["rows"]:
        if point["method"] == "r-adapter":
            alpha = point["alpha"]
            point["id_mean"] = 0.6 + 0.2 * alpha
            point["ood_mean"] = 0.6 + (gap - 0.1) * alpha + 0.12 * alpha * (1 - alpha)
    for (one, a), (other, b) in combinations(boxes(frontier_figure(typed(results))).items(), 2):
        assert not a.overlaps(b), (one, other)


def test_every_label_is_inside_the_image(results):
    figure = frontier_figure(typed(results))
    for name, box in boxes(figure).items():
        assert box.x0 >= 0, name
        assert box.x1 <= figure.bbox.x1, name
        assert box.y0 >= 0, name
        assert box.y1 <= figure.bbox.y1, name


@pytest.mark.parametrize(("rise", "below"), [(0.1, True), (-0.1, False)])
def test_the_label_of_zero_shot_is_on_the_side_that_the_curves_leave_free(results, rise, below):
    for point in results["sweep"]:
        point["ood_mean"] = 0.6 + rise * point["alpha"]
    figure = frontier_figure(typed(results))
    label = boxes(figure)["zero-shot"]
    _, star = figure.axes[0].transData.transform((60, 60))
    assert (label.y1 < star) == below
    assert (label.y0 > star) != below


def test_a_long_model_name_is_cut_at_its_start(results):
    results["model"] = "open_clip:ViT-B-16/" + "folder/" * 10 + "weights.pt"
    figure = frontier_figure(typed(results))
    figure.draw_without_rendering()
    title = figure.axes[0]._left_title
    assert "weights.pt: from" in title.get_text()
    assert title.get_window_extent(figure.canvas.get_renderer()).x1 <= figure.bbox.x1


def test_a_method_that_the_figure_does_not_know_gets_a_style_of_its_own(results):
    for part in results["rows"] + results["sweep"]:
        part["method"] = part["method"].replace("r-adapter", "new-method")
    lines = frontier_figure(typed(results)).axes[0].lines
    assert "#56B4E9" in {line.get_color() for line in lines}


def test_rows_without_a_sweep_are_drawn_as_points(results):
    results["sweep"] = []
    assert f"r-adapter {ALPHA} 0.7" in boxes(frontier_figure(typed(results)))


def test_without_ood_sets_there_is_no_frontier(results):
    for entry in results["rows"] + results["sweep"]:
        entry |= {"ood": {}, "ood_mean": None}
    with pytest.raises(ValueError, match="a frontier needs rows with OOD sets"):
        frontier_figure(typed(results))


def test_labels_are_moved_apart_by_no_more_than_needed():
    assert spread([0.1, 0.5], 0.1) == [0.1, 0.5]
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
    assert spread([0.3, 0.5, 0.52, 0.9], 0.1) == pytest.approx([0.3, 0.46, 0.56, 0.9])
