"""Segmentation's tables: for each set mIoU of every method, and of oracles that tell CLIP's errors from the rest.

A method has a line as it is, and one with the true masks in place of proposals; one more line for all has the
proposals under a perfect classifier, which gives each class the share of the region's pixels that has it.
"""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from radapter.report.cells import ROLES, cell, lines_of, markdown, mean_cell
from radapter.runs.results import Figures, Results
from radapter.tasks.suite import Role

_COLUMNS = {
    "miou": "mIoU", "miou_ovseg": "mIoU (OVSeg)", "miou_seen": "trained", "miou_unseen": "left out",
    "miou_harmonic": "H", "pixel_accuracy": "pixels", "region_top1": "regions",
}  # fmt: skip
_OF_TRUE_MASKS = {"miou": "true_masks_miou", "region_top1": "region_top1"}
_CLASS = "iou/"


def regions_markdown(results: Results) -> str:
    """One table a set, then the IoU of each class; methods at their alpha and, in italics, at those beside it."""
    sets = [(role, name) for role in ROLES for name in results.sets(role)]
    parts = [part for of in sets for part in _methods(results, *of)]
    return "\n".join(parts + [part for of in sets for part in _classes(results, *of)])


def oracles_table(results: Results) -> Table:
    """Means over sets of the oracles, for the terminal: what CLIP gets wrong, what the proposer leaves."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title="Oracles: mIoU in %, detectron2's convention")
    headers: dict[Role, str] = {"id": "ID", "ood": "OOD mean"}
    roles = [role for role in headers if results.sets(role)]
    table.add_column("Method")
    for role in roles:
        table.add_column(headers[role], justify="right")
    for row in results.rows:
        of_masks = (mean_cell(results, role, "true_masks_miou", row).text for role in roles)
        table.add_row(f"{row.method}, true masks", *of_masks)
    of_classes = (mean_cell(results, role, "true_classes_miou", results.rows[0]).text for role in roles)
    table.add_row("proposals, true classes", *of_classes)
    return table


def _methods(results: Results, role: Role, name: str) -> Iterator[str]:
    first = results.rows[0].sets(role)[name]
    columns = [key for key in _COLUMNS if key in first]
    yield (
        f"`{name}`, {ROLES[role]}: mIoU in %, in detectron2's convention (the mean over classes present in the "
        f"truth) and in OVSeg's (absent but predicted classes count as 0); {first['n']:,.0f} images, "
        f"{first['regions']:,.0f} proposals, {first['classes']:,.0f} classes.\n"
    )
    lines = []
    for line in lines_of(results):
        own = [_figure(line.figures, role, name, key) for key in columns]
        of_masks = [_figure(line.figures, role, name, _OF_TRUE_MASKS.get(key, "")) for key in columns]
        for method, figures in ((line.row.method, own), (f"{line.row.method}, true masks", of_masks)):
            cells = [method, line.alpha, *figures]
            lines.append([f"*{text}*" if line.beside and text else text for text in cells])
    oracle = _figure(results.rows[0], role, name, "true_classes_miou")
    lines.append(["proposals, true classes", "", *(oracle if key == "miou" else "" for key in columns)])
    yield markdown(["Method", "Alpha", *(_COLUMNS[key] for key in columns)], lines)
    yield ""


def _classes(results: Results, role: Role, name: str) -> Iterator[str]:
    """Methods across, classes down."""
    yield f"`{name}`, {ROLES[role]}: IoU of each class in %.\n"
    lines = [
        [key.removeprefix(_CLASS), *(_figure(row, role, name, key) for row in results.rows)]
        for key in results.rows[0].sets(role)[name]
        if key.startswith(_CLASS)
    ]
    yield markdown(["Class", *(row.method for row in results.rows)], lines)
    yield ""


def _figure(figures: Figures, role: Role, name: str, metric: str) -> str:
    value = figures.value(role, name, metric)
    return "" if value is None else cell(value).text
