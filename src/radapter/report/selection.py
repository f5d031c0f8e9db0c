"""Sentences on how alpha was chosen; if it is 0, the reported model is the zero-shot model."""

import shlex

from radapter.runs.results import Results, Selection
from radapter.storage import free


def kept_zero_shot(results: Results, *, run: str | None = None) -> list[str]:
    """A paragraph for each method whose alpha the rule set to 0, at one seed or more. `run` is the run folder, which
    the remedy names; None for a comparison."""
    paragraphs = []
    for row in results.rows:
        kept = [
            selection
            for selection, alpha in zip(row.selections, row.alphas, strict=True)
            if alpha == 0 and selection is not None and selection.best_alpha is not None
        ]
        if kept:
            seeds = "" if len(row.alphas) == 1 else f" at {len(kept)} of {len(row.alphas)} seeds"
            paragraphs.append(
                f"{row.method}: alpha 0 was chosen{seeds}, so the zero-shot model was kept unchanged. "
                f"{_why(kept[0], run)}"
            )
    return paragraphs


def chosen_alpha(results: Results) -> list[str]:
    """A sentence for each method of a run whose alpha above 0 was chosen on ID validation: rule and scores."""
    return [
        f"{row.method}: alpha {row.alpha:g} is the {selection.rule} on {selection.n:,} ID validation images. "
        f"{_compared(row.alpha, selection)}"
        for row in results.rows
        if (selection := row.selection) is not None and selection.best_alpha is not None and row.alpha > 0
    ]


def _compared(alpha: float, selection: Selection) -> str:
    if selection.best_alpha == alpha:
        return "It is also the best alpha."
    best = f"The best alpha, {selection.best_alpha:g}, scores"
    return "{} {} points higher; the standard error is {} points.".format(best, *_points(selection))


def _points(selection: Selection) -> tuple[str, str]:
    """The gain of the best alpha over the chosen one and its paired standard error, in points."""
    return f"{100 * selection.gain:.1f}", f"{100 * (selection.paired_error or 0.0):.1f}"


def _why(selection: Selection, run: str | None) -> str:
    best, images = selection.best_alpha, selection.n
    if best == 0:
        return (
            f"No other alpha scores more on the {images:,} validation images. Try another train.lr, more epochs or "
            "more training images."
        )
    gain, error = _points(selection)
    remedy = (
        "train it alone and merge it at an alpha of your own."
        if run is None
        else f"choose yourself: radapter merge {shlex.quote(run)} --alpha {best:g} --out {free('merged')}"
    )
    return (
        f"On the {images:,} validation images the best alpha, {best:g}, scores {gain} points more, within one "
        f"paired standard error ({error} points). Add validation images, or {remedy}"
    )
