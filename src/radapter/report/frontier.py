"""The frontier: the score of each method out of distribution, and on transfer sets, by its score in distribution.

Every curve starts at the zero-shot model (alpha 0, the star) and ends at the fine-tuned one (alpha 1). Up and to
the right is better. Dotted lines are the fixed ID levels of the table. A second panel shows transfer sets if there
are any. Colours are Okabe and Ito's, which colour-blind readers can distinguish.
"""

import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from radapter.report.cells import Curve, curves
from radapter.runs.results import MEANS, Figures, Results, Row
from radapter.tasks.suite import Role

SIZE_INCHES, DOTS_PER_INCH = (7.0, 5.5), 160
_NAME_SIZE = 10  # points
_NAME: dict[str, Any] = {"fontsize": _NAME_SIZE, "fontweight": "bold"}
_ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
_INK, _GREY, _FAINT = "#222222", "#666666", "#9a9a9a"
_CROWDED = 9  # rows above which only the table shows the chosen alphas
_TITLE = 38  # letters of a model's name
# Okabe & Ito 2008, without yellow, which is unreadable on white, and darker colours for the others. Fixed, so that a
# method looks the same in all figures. WiSE-FT has the colour of `full`, which is a point of its curve.
_STYLE_OF = {
    "full": ("#D55E00", "s"),
    "full-both-towers": ("#D55E00", "s"),
    "full-image-tower": ("#D55E00", "s"),
    "flyp": ("#E69F00", "^"),
    "lora": ("#CC79A7", "D"),
    "wise-ft": ("#D55E00", "P"),
    "r-adapter": ("#0072B2", "o"),
    "r-adapter+head": ("#009E73", "v"),
    "linear-probe": ("#56B4E9", "p"),
    "lp-ft": ("#666666", "h"),
    "l2-sp": ("#8C510A", "<"),
    "mask-fill": ("#4B0092", ">"),
    "uniform-soup": ("#000000", "X"),
    "greedy-soup": ("#882255", "d"),
    "rslora": ("#117733", "8"),
}
_OTHER_COLOURS = ("#56B4E9", "#666666", "#8C510A", "#4B0092", "#000000", "#A6761D", "#117733")
_OTHER_STYLES = list(zip(_OTHER_COLOURS, "ph<>Xd8", strict=True))


def draw(results: Results, path: str | os.PathLike[str]) -> Path:
    """Draws the frontier into a file of a kind that matplotlib writes (png, pdf, svg), and returns its path. Raises
    ValueError if there are no OOD sets."""
    frontier_figure(results).savefig(path)
    return Path(path)


def frontier_figure(results: Results) -> Figure:
    """Draws the frontier as a figure, to be saved or shown. Raises ValueError if there are no OOD sets.

    Large markers are the table's rows, at their chosen alpha; a ring is the paper's alpha of the task; small dots
    are the other alphas of the sweep. With more than nine rows, labels leave out the chosen alphas. Bars are one
    standard deviation over seeds, if known. A method so far below zero-shot on both axes that the others would
    become one spot is listed in text instead.
    """
    if not results.sets("ood"):
        raise ValueError("a frontier needs rows with OOD sets. Got none. Give data.ood.")
    width, height = SIZE_INCHES
    roles: list[Role] = ["ood", "transfer"] if results.sets("transfer") else ["ood"]
    figure = Figure(figsize=(width * len(roles), height), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(roles), sharex=True, squeeze=False)[0]
    labels = [_draw_panel(axes, results, role) for axes, role in zip(panels, roles, strict=True)]
    _place_panels(figure, labels)
    for axes, of_panel in zip(panels, labels, strict=True):
        _write(axes, of_panel)
    return figure


class _Label(NamedTuple):
    x: float
    y: float
    text: str
    colour: str


def _draw_panel(axes: Axes, results: Results, role: Role) -> list[_Label]:
    """Draws one panel, with the sets of `role` on the vertical axis, and returns its labels, which are not drawn."""
    off = _far_below(results.rows)
    _dress(axes, results, role, off if role == "ood" else [])
    style_of = styles([row.method for row in results.rows])
    hidden = {"zero-shot", *(row.method for row in off)}
    drawn = [curve for curve in curves(results) if _name(curve) not in hidden]
    labels: dict[str, _Label] = {}
    for curve in drawn:
        name = _name(curve)
        colour, marker = style_of.get(name, (_FAINT, "o"))
        _draw_curve(axes, curve, role, colour, marker, paper_alpha=results.headline.paper_alpha)
        labels[name] = _Label(*_place(curve.points[-1], role), name, colour)
    curved = set(labels)
    for row in results.rows:
        if row.method == "zero-shot":
            rises = [_place(curve.points[1], role)[1] - _place(row, role)[1] for curve in drawn]
            _draw_zero_shot(axes, row, role, below=sum(rises) > 0)
        elif row.method not in hidden:
            colour, marker = style_of[row.method]
            _draw_row(axes, row, role, colour, marker)
            end = labels.setdefault(row.method, _Label(*_place(row, role), row.method, colour))
            if row.method not in curved or (row.alpha != 1 and len(results.rows) <= _CROWDED):
                labels[row.method] = end._replace(text=f"{row.method} {_ALPHA} {row.alpha:.2g}")
    axes.margins(0.08, 0.12)
    return list(labels.values())


def _dress(axes: Axes, results: Results, role: Role, off: Sequence[Row]) -> None:
    words = "Out of distribution" if role == "ood" else "Kept"
    label = f"{results.headline.label} in %"
    axes.set_xlabel(f"In distribution: {_listed(results.sets('id'))}, {label}", color=_INK)
    axes.set_ylabel(f"{words}: {_listed(results.sets(role))}, {label}", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(color=_FAINT, labelcolor="#555555", labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    for level in results.levels.id if results.levels is not None else ():
        axes.axvline(100 * level, color=_FAINT, linewidth=0.8, linestyle=":", zorder=0)
        place: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "ha": "right", "va": "top"}
        axes.text(100 * level, 0.99, f"{100 * level:.1f} ", fontsize=7.5, color=_GREY, **place)
    if role == "ood":
        _explain(axes, results, off)


def _explain(axes: Axes, results: Results, off: Sequence[Row]) -> None:
    name = results.model
    model = name if len(name) <= _TITLE else "\N{HORIZONTAL ELLIPSIS}" + name[-_TITLE:]
    axes.set_title(f"{model}: from zero-shot to fine-tuned", loc="left", fontsize=12, color=_INK, pad=24)
    legend = f"dots: alphas up to 1    ring: the paper's alpha, {results.headline.paper_alpha:g}    "
    legend += "large: the alpha of the table"
    if results.levels is not None and results.levels.id:
        legend += "    dotted: fixed ID levels"
    style: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 8.5, "color": _GREY}
    axes.text(0, 1.025, legend, **style)
    if off:
        listed = ", ".join("{} ({:.1f} / {:.1f})".format(row.method, *_place(row)) for row in off)
        axes.text(0.01, 0.012, f"far below, not drawn: {listed}", **style)


def _far_below(rows: Sequence[Row]) -> list[Row]:
    """Rows below zero-shot on both axes by more than any other row moves on that axis."""
    zero_shot = next((row for row in rows if row.method == "zero-shot"), None)
    if zero_shot is None:
        return []
    moved = [(row, np.subtract(_place(row), _place(zero_shot))) for row in rows if row is not zero_shot]
    others = [abs(move) for _, move in moved if move.max() >= 0]
    return [row for row, move in moved if others and (move < -np.max(others, axis=0)).all()]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"mean of {len(names)} sets"


def styles(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every method, the same in all figures."""
    others = (method for method in methods if method not in {"zero-shot", *_STYLE_OF})
    return _STYLE_OF | dict(zip(others, cycle(_OTHER_STYLES), strict=False))


def spread(heights: Sequence[float], step: float) -> list[float]:
    """Ascending heights moved apart to at least `step`, around where they were."""
    groups: list[list[float]] = []  # of neighbours that touch; each is centred on its members' mean
    for height in heights:
        groups.append([height])
        while (
            len(groups) > 1
            and fmean(groups[-1]) - fmean(groups[-2]) < step * len(groups[-2] + groups[-1]) / 2
        ):
            last = groups.pop()
            groups[-1] += last
    return [
        fmean(group) - step * (len(group) - 1) / 2 + step * i for group in groups for i in range(len(group))
    ]


def _name(curve: Curve) -> str:
    """The method of the row nearest the curve's fine-tuned end, or of its sweep if no row is on it."""
    return max(curve.rows, key=lambda row: row.alpha, default=curve.points[0]).method


def _place(row: Figures, role: Role = "ood") -> tuple[float, float]:
    value = row.mean(MEANS[role])
    assert value is not None
    return 100 * row.id_mean, 100 * value.mean


def _draw_curve(
    axes: Axes, curve: Curve, role: Role, colour: str, marker: str, *, paper_alpha: float
) -> None:
    x, y = zip(*(_place(point, role) for point in curve.points), strict=True)
    axes.plot(x, y, color=colour, linewidth=1.8, alpha=0.8, zorder=2, solid_capstyle="round")
    axes.plot(x[1:], y[1:], linestyle="none", marker=marker, markersize=3.4, color=colour, zorder=3)
    ring = curve.at(paper_alpha)
    if ring is not None:
        axes.plot(*_place(ring, role), marker="o", markersize=6, color="white", mec=colour, mew=1.5, zorder=4)


def _draw_row(axes: Axes, row: Row, role: Role, colour: str, marker: str) -> None:
    x, y = _place(row, role)
    across, up = row.mean("id_mean"), row.mean(MEANS[role])
    if across is not None and across.std is not None and up is not None and up.std is not None:
        bars: dict[str, Any] = {"xerr": 100 * across.std, "yerr": 100 * up.std, "elinewidth": 1}
        axes.errorbar(x, y, **bars, color=colour, alpha=0.6, zorder=4)
    size = 13 if marker == "P" else 11  # the plus covers less than the others
    axes.plot(x, y, marker=marker, markersize=size, color=colour, mec="white", mew=1.2, zorder=6)


def _draw_zero_shot(axes: Axes, row: Row, role: Role, *, below: bool) -> None:
    """Draws the star, with its name on the side that the curves leave free."""
    x, y = _place(row, role)
    axes.axvline(x, color=_FAINT, linewidth=0.8, alpha=0.6, zorder=0)
    axes.axhline(y, color=_FAINT, linewidth=0.8, alpha=0.6, zorder=0)
    axes.plot(x, y, marker="*", markersize=17, color=_INK, mec="white", mew=1.2, zorder=7)
    axes.annotate(
        "zero-shot",
        (x, y),
        xytext=(-6, -11 if below else 11),
        textcoords="offset points",
        ha="left",
        va="top" if below else "bottom",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=8,
        color=_INK,
        **_NAME,
    )


def _place_panels(figure: Figure, labels: Sequence[Sequence[_Label]]) -> None:
    """Places the panels side by side, each with a column for the names of its curves."""
    longest = max((len(label.text) for of_panel in labels for label in of_panel), default=0)
    left, right = 0.085 * SIZE_INCHES[0], longest * 0.62 * _NAME_SIZE / 72 + 0.3  # inches, bold letters
    whole, panel = len(labels) * SIZE_INCHES[0], SIZE_INCHES[0] - left - right
    figure.subplots_adjust(
        left=left / whole, right=1 - right / whole, bottom=0.1, top=0.89, wspace=(left + right) / panel
    )


def _write(axes: Axes, labels: Sequence[_Label]) -> None:
    """Writes names in a column at the right, in the order of their heights, with a thin line to each."""
    bottom, top = axes.get_ylim()
    step = 1.5 * _NAME_SIZE / 72 / (0.79 * SIZE_INCHES[1])  # of two labels, as a share of the axes
    order = sorted(labels, key=lambda label: label.y)
    heights = spread([(label.y - bottom) / (top - bottom) for label in order], step)
    line = {
        "arrowstyle": "-",
        "linewidth": 0.8,
        "alpha": 0.55,
        "relpos": (0, 0.5),
        "shrinkA": 1,
        "shrinkB": 3,
    }
    for label, height in zip(order, heights, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(1.03, height),
            textcoords=axes.transAxes,
            va="center",
            annotation_clip=False,
            arrowprops={**line, "color": label.colour},
            zorder=1,
            color=label.colour,
            **_NAME,
        )
