"""Segmentation's tables: for each set mIoU of every method, and of oracles that tell CLIP's errors from the rest.

A method has a line as it is, and one with the true masks in place of proposals; one more line for all has the
proposals under a perfect classifier, which gives each class the share of the region's pixels that has it.
"""

from collections.abc import Iterator
from statistics import fmean

from rich import box
from rich.table import Table

from radapter.report.curves import Json
from radapter.report.table import points_beside

_COLUMNS = {
    "miou": "mIoU", "miou_ovseg": "mIoU (OVSeg)", "miou_seen": "trained", "miou_unseen": "left out",
    "miou_harmonic": "H", "pixel_accuracy": "pixels", "region_top1": "regions",
}  # fmt: skip
_ROLES = {"id": "in distribution", "ood": "out of distribution"}
_CLASS = "iou/"


def regions_markdown(results: Json) -> str:
    """One table a set, then the IoU of each class; methods at their alpha and, in italics, at those beside it.

    Args:
        results: the whole of results.json of a segmentation, of one seed or of several.
    """
    return "\n".join([*_tables(results), *_classes(results)])


def oracles_table(results: Json) -> Table:
    """Means over sets of what the oracles reach, for the terminal: what CLIP gets wrong, what the proposer leaves.

    Args:
        results: the whole of results.json of a segmentation.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title="Oracles: mIoU in %, detectron2's convention")
    roles = [
        (role, header) for role, header in (("id", "ID"), ("ood", "OOD mean")) if results["rows"][0][role]
    ]
    table.add_column("Method")
    for _, header in roles:
        table.add_column(header, justify="right")

    def cells(row: Json, key: str) -> list[str]:
        return [f"{100 * fmean(of[key] for of in row[role].values()):.1f}" for role, _ in roles]

    for row in results["rows"]:
        table.add_row(f"{row['method']}, true masks", *cells(row, "true_masks_miou"))
    table.add_row("proposals, true classes", *cells(results["rows"][0], "true_classes_miou"))
    return table


def _tables(results: Json) -> Iterator[str]:
    for role, name, words in _sets(results):
        first = results["rows"][0][role][name]
        columns = [key for key in _COLUMNS if key in first]
        yield (
            f"`{name}`, {words}: mIoU in %, in detectron2's convention (the mean over classes present in the truth) "
            f"and in OVSeg's (absent but predicted classes count as 0); {first['n']:,.0f} images, "
            f"{first['regions']:,.0f} proposals, {first['classes']:,.0f} classes.\n"
        )
        yield from _head(["Method", "Alpha", *(_COLUMNS[key] for key in columns)])
        for row, alpha, italic in _lines(results):
            metrics = row[role][name]
            yield _line([row["method"], alpha, *(_cell(metrics, key) for key in columns)], italic=italic)
            oracle = [
                _cell(metrics, {"miou": "true_masks_miou", "region_top1": "region_top1"}.get(key, ""))
                for key in columns
            ]
            yield _line([f"{row['method']}, true masks", alpha, *oracle], italic=italic)
        oracle = [_cell(first, "true_classes_miou") if key == "miou" else "" for key in columns]
        yield _line(["proposals, true classes", "", *oracle], italic=False)
        yield ""


def _classes(results: Json) -> Iterator[str]:
    """A table a set: methods across, classes down."""
    for role, name, words in _sets(results):
        classes = [
            key
            for key in results["rows"][0][role][name]
            if key.startswith(_CLASS) and not key.endswith("_std")
        ]
        yield f"`{name}`, {words}: IoU of each class in %.\n"
        yield from _head(["Class", *(row["method"] for row in results["rows"])])
        for key in classes:
            cells = [_cell(row[role][name], key) for row in results["rows"]]
            yield _line([key.removeprefix(_CLASS), *cells], italic=False)
        yield ""


def _sets(results: Json) -> Iterator[tuple[str, str, str]]:
    for role, words in _ROLES.items():
        for name in dict.fromkeys(name for row in results["rows"] for name in row[role]):
            yield role, name, words


def _lines(results: Json) -> Iterator[tuple[Json, str, bool]]:
    """Each row, and the same method at the alphas that are shown beside it."""
    for row in results["rows"]:
        yield row, "-" if row["method"] == "zero-shot" else f"{row['alpha']:.2g}", False
        for point in points_beside(results, row):
            yield {**point, "method": row["method"]}, f"{point['alpha']:g}", True


def _head(titles: list[str]) -> Iterator[str]:
    yield "| " + " | ".join(titles) + " |"
    yield "|---|" + "---:|" * (len(titles) - 1)


def _line(cells: list[str], *, italic: bool) -> str:
    return "| " + " | ".join(f"*{cell}*" if italic and cell else cell for cell in cells) + " |"


def _cell(metrics: Json, name: str) -> str:
    if name not in metrics:
        return ""
    spread = metrics.get(f"{name}_std")
    return f"{100 * metrics[name]:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
