"""The frontier: what each method does out of distribution, and what it keeps, by its figure in distribution.

Every curve starts at the zero-shot model (alpha 0, the star) and ends at the fine-tuned one (alpha 1). Up and to
the right is better. Dotted lines are the fixed ID levels of the table. The second panel is drawn where transfer
sets were given. Labels stand beside what they name; colours are Okabe and Ito's, which colour-blind readers
tell apart, and every method has a marker of its own.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.ticker import MaxNLocator

from radapter.report.curves import Curve, Json, curves
from radapter.report.metrics import headline_of

SIZE_INCHES, DOTS_PER_INCH = (7.0, 5.5), 160
_NAME_SIZE = 10.5  # points
_ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
_INK, _FAINT = "#222222", "#9a9a9a"
_OWN_MARKER, _TOUCH = 16, 4  # pixels
_CROWDED = 9  # rows above which chosen alphas stand in the table alone
_TITLE = 38  # letters of a model's name
_OVERLAP = 60.0  # what covering a label costs, in dots covered
# Okabe & Ito 2008, without yellow, which is unreadable on white. Fixed, so that figures can be compared.
_STYLE_OF = {
    "full": ("#D55E00", "s"),
    "full-both-towers": ("#D55E00", "s"),
    "full-image-tower": ("#D55E00", "s"),
    "flyp": ("#E69F00", "^"),
    "lora": ("#CC79A7", "D"),
    "wise-ft": ("#D55E00", "P"),
    "r-adapter": ("#0072B2", "o"),
    "r-adapter+head": ("#009E73", "v"),
}
_OTHER_STYLES = [
    ("#56B4E9", "p"),
    ("#666666", "h"),
    ("#8C510A", "<"),
    ("#4B0092", ">"),
    ("#000000", "X"),
    ("#A6761D", "d"),
    ("#117733", "8"),
]


def draw(results: Json, path: str | os.PathLike[str]) -> Path:
    """Draws the frontier of a run into a file.

    Args:
        results: the whole of results.json.
        path: a file of a kind matplotlib writes (png, pdf, svg); its folder must exist.

    Returns:
        `path`.

    Raises:
        ValueError: a row has no mean over OOD sets.
    """
    frontier_figure(results).savefig(path)
    return Path(path)


def frontier_figure(results: Json) -> Figure:
    """The frontier of a run as a figure, to be saved or shown.

    Large markers are the table's rows, at their chosen alpha; a ring is the paper's alpha of the task; the small
    dots of a curve are the other alphas of the sweep. Of more than nine rows the chosen alphas are left to the
    table. Bars are one standard deviation over seeds, where known. A method that fell so far below zero-shot on both
    axes that the others would become one spot is written, not drawn.

    Args:
        results: the whole of results.json.

    Raises:
        ValueError: a row has no mean over OOD sets.
    """
    without = [row["method"] for row in results["rows"] if row["ood_mean"] is None]
    if without or not results["rows"]:
        raise ValueError(
            f"a frontier needs rows with OOD sets. Got none for: {', '.join(without) or 'no row at all'}. "
            "Give data.ood."
        )
    width, height = SIZE_INCHES
    kept = all(row.get("kept") is not None for row in results["rows"])
    keys = ("ood_mean", "kept") if kept else ("ood_mean",)
    figure = Figure(figsize=(width * len(keys), height), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(keys), sharex=True, squeeze=False)[0]
    labels = [_draw_panel(axes, results, key) for axes, key in zip(panels, keys, strict=True)]
    _leave_room(figure, [ends for ends, _, _ in labels])
    for axes, (ends, others, covered) in zip(panels, labels, strict=True):
        _write_ends(axes, ends)
        _write_beside(figure, axes, others, covered)
    return figure


def _draw_panel(
    axes: Any, results: Json, key: str
) -> tuple[list["_Label"], list["_Label"], list[tuple[float, float]]]:
    """Draws all but the labels of one panel; `key` is what a row has on the vertical axis.

    Returns:
        Names of curves, labels beside points, and the points that labels keep off.
    """
    off = _off_the_picture(results["rows"])
    _dress(axes, results, key, off if key == "ood_mean" else [])

    def place(row: Json) -> tuple[float, float]:
        return _place(row, key)

    styles = _styles([row["method"] for row in results["rows"]])
    ends: list[_Label] = []
    others: list[_Label] = []
    covered: list[tuple[float, float]] = []  # what labels keep off
    hidden = {"zero-shot", *(row["method"] for row in off)}
    found = [curve for curve in curves(results) if _name(curve) not in hidden]
    paper_alpha = headline_of(results).paper_alpha
    for curve in found:
        name = _name(curve)
        colour, marker = styles.get(name, (_FAINT, "o"))
        covered += _draw_curve(axes, curve, key, colour, marker, paper_alpha=paper_alpha)
        ends.append(_Label(*place(curve.points[-1]), name, colour))
    named = {label.text for label in ends}
    for row in results["rows"]:
        if row["method"] in hidden:
            continue
        colour, marker = styles[row["method"]]
        _draw_row(axes, row, key, colour, marker)
        covered += [place(row)] * 8  # a large marker counts as several dots
        on_its_curve = row["method"] in named
        if not on_its_curve or (row["alpha"] != 1 and len(results["rows"]) <= _CROWDED):
            alpha = f"{_ALPHA} {row['alpha']:.2g}"
            text = alpha if on_its_curve else f"{row['method']} {alpha}"
            others.append(_Label(*place(row), text, colour))
    for row in results["rows"]:
        if row["method"] == "zero-shot":
            _draw_zero_shot(axes, row, key)
            others.insert(0, _Label(*place(row), "zero-shot", _INK))
            covered += [place(row)] * 8
    axes.margins(0.08, 0.12)
    return ends, others, covered


@final
@dataclass(frozen=True)
class _Label:
    x: float
    y: float
    text: str
    colour: str


def _dress(axes: Any, results: Json, key: str, off: Sequence[Json]) -> None:
    role, words = {"ood_mean": ("ood", "Out of distribution"), "kept": ("transfer", "Kept")}[key]
    id_sets, other_sets = (
        list(dict.fromkeys(name for row in results["rows"] for name in row[of])) for of in ("id", role)
    )
    headline = headline_of(results)
    axes.set_xlabel(f"In distribution: {_listed(id_sets)}, {headline.label} in %", color=_INK)
    axes.set_ylabel(f"{words}: {_listed(other_sets)}, {headline.label} in %", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(color=_FAINT, labelcolor="#555555", labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    for level in (results.get("levels") or {"id": []})["id"]:
        axes.axvline(100 * level, color=_FAINT, linewidth=0.8, linestyle=":", zorder=0)
        axes.text(
            100 * level,
            0.99,
            f"{100 * level:.1f} ",
            transform=axes.get_xaxis_transform(),
            ha="right",
            va="top",
            fontsize=7.5,
            color="#666666",
        )
    if key == "ood_mean":
        _explain(axes, results, off)


def _explain(axes: Any, results: Json, off: Sequence[Json]) -> None:
    model = results["model"]
    model = model if len(model) <= _TITLE else "\N{HORIZONTAL ELLIPSIS}" + model[-_TITLE:]
    axes.set_title(f"{model}: from zero-shot to fine-tuned", loc="left", fontsize=12, color=_INK, pad=24)
    levels = "    dotted: fixed ID levels" if (results.get("levels") or {}).get("id") else ""
    axes.text(
        0,
        1.025,
        f"dots: alphas up to 1    ring: the paper's alpha, {headline_of(results).paper_alpha:g}    "
        f"large: the alpha of the table{levels}",
        transform=axes.transAxes,
        fontsize=8.5,
        color="#666666",
    )
    if off:
        told = ", ".join("{} ({:.1f} / {:.1f})".format(row["method"], *_place(row)) for row in off)
        axes.text(
            0.01,
            0.012,
            f"far below, not drawn: {told}",
            transform=axes.transAxes,
            fontsize=8.5,
            color="#666666",
        )


def _off_the_picture(rows: Sequence[Json]) -> list[Json]:
    """Rows below zero-shot on both axes by more than any other moves on that axis."""
    zero_shot = next((row for row in rows if row["method"] == "zero-shot"), None)
    if zero_shot is None:
        return []
    moved = {
        row["method"]: np.subtract(_place(row), _place(zero_shot)) for row in rows if row is not zero_shot
    }
    others = [abs(move) for move in moved.values() if move.max() >= 0]
    if not others:
        return []
    reach = np.max(others, axis=0)
    return [row for row in rows if row is not zero_shot and (moved[row["method"]] < -reach).all()]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"mean of {len(names)} sets"


def _styles(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    others = [method for method in methods if method not in _STYLE_OF and method != "zero-shot"]
    spare = {method: _OTHER_STYLES[i % len(_OTHER_STYLES)] for i, method in enumerate(others)}
    return {**_STYLE_OF, **spare}


def _name(curve: Curve) -> str:
    """What a curve is called: the row nearest its fine-tuned end, or its sweep where no row stands on it."""
    row: Json = max(curve.rows, key=lambda row: row["alpha"], default=curve.points[0])
    return str(row["method"])


def _place(row: Json, key: str = "ood_mean") -> tuple[float, float]:
    return 100 * row["id_mean"], 100 * row[key]


def _draw_curve(
    axes: Any, curve: Curve, key: str, colour: str, marker: str, *, paper_alpha: float
) -> list[tuple[float, float]]:
    """Draws line and dots; returns points along the line, for labels to keep off."""
    places = [_place(point, key) for point in curve.points]
    x, y = zip(*places, strict=True)
    axes.plot(x, y, color=colour, linewidth=1.8, alpha=0.8, zorder=2, solid_capstyle="round")
    axes.plot(x[1:], y[1:], linestyle="none", marker=marker, markersize=3.4, color=colour, zorder=3)
    ring = curve.at(paper_alpha)
    if ring is not None:
        axes.plot(*_place(ring, key), marker="o", markersize=6, color="white", mec=colour, mew=1.5, zorder=4)
    along = np.linspace(0, len(places) - 1, 16 * len(places))
    return list(zip(np.interp(along, range(len(x)), x), np.interp(along, range(len(y)), y), strict=True))


def _draw_row(axes: Any, row: Json, key: str, colour: str, marker: str) -> None:
    x, y = _place(row, key)
    across, up = row.get("id_mean_std"), row.get(f"{key}_std")
    if across is not None and up is not None:
        axes.errorbar(x, y, xerr=100 * across, yerr=100 * up, color=colour, elinewidth=1, alpha=0.6, zorder=4)
    size = 13 if marker == "P" else 11  # the plus covers less than the others
    axes.plot(x, y, marker=marker, markersize=size, color=colour, mec="white", mew=1.2, zorder=6)


def _draw_zero_shot(axes: Any, row: Json, key: str) -> None:
    x, y = _place(row, key)
    axes.axvline(x, color=_FAINT, linewidth=0.8, alpha=0.6, zorder=0)
    axes.axhline(y, color=_FAINT, linewidth=0.8, alpha=0.6, zorder=0)
    axes.plot(x, y, marker="*", markersize=17, color=_INK, mec="white", mew=1.2, zorder=7)


def _leave_room(figure: Figure, labels: Sequence[Sequence[_Label]]) -> None:
    """Places the panels side by side, each with a column for the names of its curves."""
    longest = max((len(label.text) for of_panel in labels for label in of_panel), default=0)
    left, room = 0.085 * SIZE_INCHES[0], longest * 0.65 * _NAME_SIZE / 72 + 0.3  # inches, bold letters
    whole, panel = len(labels) * SIZE_INCHES[0], SIZE_INCHES[0] - left - room
    figure.subplots_adjust(
        left=left / whole, right=1 - room / whole, bottom=0.1, top=0.89, wspace=(left + room) / panel
    )


def _write_ends(axes: Any, labels: Sequence[_Label]) -> None:
    """Writes the curves' names in a column at the right, in the order of their ends, with a thin line to each."""
    size = _NAME_SIZE
    bottom, top = axes.get_ylim()
    step = 1.5 * size / 72 / (0.79 * SIZE_INCHES[1])  # the distance of two labels, as a share of the axes
    order = sorted(labels, key=lambda label: label.y)
    heights = _spread([(label.y - bottom) / (top - bottom) for label in order], step)
    for label, height in zip(order, heights, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(1.03, height),
            textcoords=axes.transAxes,
            va="center",
            fontsize=size,
            fontweight="bold",
            color=label.colour,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.8,
                "alpha": 0.55,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 3,
            },
            zorder=1,
        )


def _spread(heights: Sequence[float], step: float) -> list[float]:
    """Ascending heights moved apart to at least `step`, around where they were."""
    groups: list[list[float]] = []  # of neighbours that touch; each is centred on its members' mean
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _low(groups[-1], step) - _high(groups[-2], step) < step:
            last = groups.pop()
            groups[-1] += last
    return [_low(group, step) + step * index for group in groups for index in range(len(group))]


def _low(group: Sequence[float], step: float) -> float:
    return fmean(group) - step * (len(group) - 1) / 2


def _high(group: Sequence[float], step: float) -> float:
    return fmean(group) + step * (len(group) - 1) / 2


def _write_beside(
    figure: Figure, axes: Any, labels: Sequence[_Label], covered: Sequence[tuple[float, float]]
) -> None:
    """Writes each label beside its point, with a thin line to it where they cannot be close.

    A label goes where it covers least of markers, curves and other labels. The places depend on each other, so
    each is chosen again, a few times over, with the others where they are.
    """
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    dots = axes.transData.transform(np.array(covered))  # (points, 2), in pixels
    frame = axes.get_window_extent(renderer)
    written = [text.get_window_extent(renderer) for text in axes.texts if not isinstance(text, Annotation)]
    candidates: list[list[tuple[float, Any, tuple[float, float]]]] = []  # per label: cost, box, offset
    texts = []
    for label in labels:
        text = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset pixels",
            ha="center",
            va="center",
            fontsize=9.5,
            fontweight="bold",
            color=label.colour,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.8,
                "shrinkA": 0,
                "shrinkB": 5,
            },
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            zorder=8,
        )
        text.update_positions(renderer)
        centred = Text.get_window_extent(text, renderer)  # Annotation's own would add the line to the point
        point = axes.transData.transform((label.x, label.y))
        places = []
        for x, y, gap in _offsets(centred.width, centred.height, figure.dpi / 72):
            box = centred.translated(x, y)
            places.append(
                (_cost(box, dots, written, frame) + _between(point, (x, y), dots) + gap / 6, box, (x, y))
            )
        candidates.append(places)
        texts.append(text)
    chosen = [min(places, key=lambda place: place[0]) for places in candidates]
    for _ in range(4):
        for index, places in enumerate(candidates):
            others = [box for other, (_, box, _) in enumerate(chosen) if other != index]
            chosen[index] = min(places, key=lambda place: place[0] + _OVERLAP * _overlaps(place[1], others))
    for text, (_, _, offset) in zip(texts, chosen, strict=True):
        text.set_position(offset)


def _offsets(width: float, height: float, scale: float) -> Iterator[tuple[float, float, float]]:
    """Places of a label's centre around its point, in pixels, with the gap between both in points."""
    for gap in (8, 12, 17, 24, 32, 42, 54):
        for angle in range(0, 360, 15):
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            yield x * (gap * scale + width / 2), y * (gap * scale + height / 2), gap


def _cost(box: Any, dots: np.ndarray[Any, Any], written: Sequence[Any], frame: Any) -> float:
    """How much a label in `box` would cover, and whether it would leave the axes."""
    near = box.padded(3)
    inside = (dots[:, 0] > near.x0) & (dots[:, 0] < near.x1) & (dots[:, 1] > near.y0) & (dots[:, 1] < near.y1)
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    return float(inside.sum() + _OVERLAP * (_overlaps(box, written) + outside))


def _overlaps(box: Any, others: Sequence[Any]) -> int:
    near = box.padded(3)
    return sum(bool(near.overlaps(other)) for other in others)


def _between(point: np.ndarray[Any, Any], offset: tuple[float, float], dots: np.ndarray[Any, Any]) -> float:
    """How much of another curve lies between a point and its label, which would then seem to name that curve."""
    steps = np.linspace(0.2, 1, 9)[:, None] * np.array(offset)
    steps = steps[np.hypot(*steps.T) > _OWN_MARKER]
    if not len(steps):
        return 0.0
    gaps = np.linalg.norm((point + steps)[:, None] - dots[None], axis=2).min(1)
    return float(2 * (gaps < _TOUCH).sum())
