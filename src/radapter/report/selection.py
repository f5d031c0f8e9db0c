"""What a reader must know where alpha 0 was chosen: training then changed nothing of the reported model."""

import shlex

from radapter.report.curves import Json


def kept_zero_shot(results: Json, *, run: str | None = None) -> list[str]:
    """A paragraph for each method whose alpha the rule set to 0, at one seed or more.

    Args:
        results: the whole of results.json.
        run: the run folder, which the remedy names; None for a comparison.
    """
    paragraphs = []
    for row in results["rows"]:
        selections = row.get("selections") or [row.get("selection")]
        alphas = row.get("alphas") or [row["alpha"]]
        kept = [
            selection
            for selection, alpha in zip(selections, alphas, strict=True)
            if alpha == 0 and selection is not None and selection["split"] is not None
        ]
        if kept:
            seeds = "" if len(alphas) == 1 else f" at {len(kept)} of {len(alphas)} seeds"
            paragraphs.append(
                f"{row['method']}: alpha 0 was chosen{seeds}, so the zero-shot model was kept unchanged. "
                f"{_why(kept[0], run)}"
            )
    return paragraphs


def _why(selection: Json, run: str | None) -> str:
    best, images = selection["best_alpha"], selection["n"]
    if best == 0:
        return (
            f"No other alpha scores more on the {images:,} validation images. Try another train.lr, more epochs or "
            "more training images."
        )
    gain, error = (
        f"{100 * points:.1f}"
        for points in (selection["best_score"] - selection["score"], selection["paired_error"])
    )
    remedy = (
        "train it alone and merge it at an alpha of your own."
        if run is None
        else f"choose yourself: radapter merge {shlex.quote(run)} --alpha {best:g} --to merged"
    )
    return (
        f"On the {images:,} validation images the best alpha, {best:g}, scores {gain} points more, within one "
        f"paired standard error ({error} points). Add validation images, or {remedy}"
    )
