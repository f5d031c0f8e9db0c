"""Writes the page: everything that a folder holds, in one file that loads nothing."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radapter.errors import import_extra
from radapter.report.cells import alpha_of, cell, set_cell
from radapter.report.page.bundle import EXTRA, NEED, vega_bundle
from radapter.report.page.details import Answered, Describe, Details
from radapter.report.page.facts import page_facts
from radapter.report.page.pictures import DrawnGallery, Sets, drawn, opened_again
from radapter.report.page.source import Folder, read_folder
from radapter.report.table import caption, parameters
from radapter.runs.results import Results
from radapter.storage import write_text
from radapter.task_list import OfEachTask
from radapter.tasks.suite import TESTED

if TYPE_CHECKING:
    from radapter.report.page.charts import Chart  # which imports altair

PAGE = "report.html"
_DESCRIBE: Mapping[str, Describe | None] = OfEachTask("describe")
_NO_ANSWERS = (
    "Single images are not shown: this folder has no answers.safetensors. Older versions did not write it."
)


def write_page(folder: Path, to: Path, *, images: bool = True, sets: Sets | None = None) -> Path:
    """Writes the report of a run or a comparison as one HTML file, and returns its path.

    Args:
        folder: Of the finished run or comparison.
        to: The file; an existing one is replaced.
        images: Whether thumbnails are shown, at most 40. They are read again from the data; where the data are
            absent or have changed, a note says so.
        sets: Gives the test sets, if they are open already.

    Raises:
        MissingExtraError: The extra `report` is not installed.
        RunError, DamagedError: There are no results, or they are damaged.
    """
    jinja2 = import_extra("jinja2", NEED, extra=EXTRA)
    import_extra("altair", NEED, extra=EXTRA)
    source = read_folder(folder)
    facts, details = page_facts(source), details_of(source)
    charts = figures_of(source, facts, details)
    galleries, notes = _images(source, details, images=images, sets=sets)
    page = files("radapter.report.page")
    plain = jinja2.utils.markupsafe.Markup

    def text_of(name: str) -> str:
        return (page / name).read_text(encoding="utf-8")

    def named(start: str) -> list[str]:
        return [name for name in charts if name.startswith(start)]

    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    ).from_string(text_of("template.html"))
    results = source.results
    shown = {
        "levels": named("level_"),
        "recalls": named("recall_"),
        "training": named("training_"),
        "layers": named("moved_"),
        "galleries": galleries,
        "image_notes": notes,
        "details": details,
        "facts": facts,
    }
    text = template.render(
        **shown,
        title=f"{'Run' if source.is_run else 'Comparison'} {folder.resolve().name}",
        subtitle=f"{results.model}, {results.task}, {_seeds(results)}",
        sections=_sections(shown),
        sentence="",
        figures=charts,
        table=_table(results),
        caption=caption(results),
        seed=results.seed,
        training_note=_training_note(source),
        provenance=_provenance(source),
        config=source.config_text(),
        css=plain(text_of("style.css")),
        bundle=plain(vega_bundle()),
        script=plain(text_of("page.js")),
        facts_json=plain(_json(facts)),
        charts_json=plain(_json({name: chart.spec for name, chart in charts.items()})),
    )
    write_text(to, text)
    return to


def figures_of(source: Folder, facts: Mapping[str, Any], details: Details | None) -> "dict[str, Chart]":
    """The figures of a folder by name. Raises MissingExtraError."""
    import_extra("altair", NEED, extra=EXTRA)
    from radapter.report.page.charts import figures

    first = source.first
    moved = source.moved(first) if first in source.trainings and first is not None else []
    return figures(source.results, facts, details, source.logged(), moved)


def details_of(source: Folder) -> Details | None:
    """What the task shows of single images and classes; None for a folder without trainings, such as a demo's."""
    describe, first = _DESCRIBE[source.results.task], source.first
    if describe is None or first is None or first not in source.trainings:
        return None
    names = source.about(first).get("classnames") or ()
    alpha = source.alphas[first] or 1.0  # at 0 there is nothing to compare
    return describe(Answered(source.results, first, alpha, source.answers(first), names))


def _images(
    source: Folder, details: Details | None, *, images: bool, sets: Sets | None
) -> tuple[list[DrawnGallery], list[str]]:
    if details is None or source.first is None:
        return [], []
    if not any(gallery.examples for gallery in details.galleries):
        return [], [] if source.answers(source.first) else [_NO_ANSWERS]
    if not images:
        return [], ["Pictures were left out (--no-images)."]
    names = source.about(source.first).get("classnames") or ()
    return drawn(details.galleries, sets or opened_again(source, names))


def _json(value: Any) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _seeds(results: Results) -> str:
    return f"seed {results.seeds[0]}" if len(results.seeds) == 1 else f"{len(results.seeds)} seeds"


def _sections(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    details = shown["details"]
    has_classes = details is not None and (details.reliability or details.classes or details.confusion)
    candidates = [
        ("tradeoff", "Trade-off", shown["facts"]["methods"]),
        ("equal", "OOD at equal ID", shown["levels"]),
        ("table", "Results", True),
        ("recall", "Recall", shown["recalls"]),
        ("classes", "Classes", has_classes),
        ("images", "Images", shown["galleries"] or shown["image_notes"]),
        ("training", "Training", shown["training"]),
        ("moved", "Layers", shown["layers"]),
        ("provenance", "How it was made", True),
    ]
    return [(anchor, words) for anchor, words, is_there in candidates if is_there]


def _table(results: Results) -> dict[str, Any]:
    """Every set at the chosen alpha, with the spread over seeds."""
    sets = [(role, name) for role in TESTED for name in results.sets(role)]
    head = ["Method", "Alpha", *(name for _, name in sets), "OOD mean", "Trained"]
    metric = results.headline.metric
    lines = [
        [
            row.method,
            alpha_of(row),
            *(set_cell(results, role, name, metric, row).text for role, name in sets),
            cell(row.mean("ood_mean")).text,
            parameters(row.trained_parameters),
        ]
        for row in results.rows
    ]
    return {"head": head, "lines": lines}


def _training_note(source: Folder) -> str:
    logged = source.logged()
    note = (
        "" if source.is_run else f"Each training at seed {source.results.seed} and its chosen learning rate. "
    )
    if not any(of.epochs for of in logged):
        note += "ID validation by epoch is measured with train.keep: best."
    return note


def _provenance(source: Folder) -> list[tuple[str, str]]:
    results = source.results
    found = [
        ("Base model", f"{results.model}, fingerprint {results.fingerprint[:16]}"),
        ("Seeds", ", ".join(map(str, results.seeds))),
        ("Alpha was chosen by", _chosen(results)),
    ]
    for training, grid in results.search.items():
        tried = ", ".join(f"{rate:g}" for rate in grid.learning_rates)
        found.append(
            (f"Learning rate of {training}", f"{grid.chosen:g}, chosen on ID validation among {tried}")
        )
    for row in results.rows:
        if row.method != "zero-shot":
            alphas = ", ".join(f"{alpha:.2g}" for alpha in row.alphas)
            rate = "" if row.learning_rate is None else f", learning rate {row.learning_rate:g}"
            found.append(
                (row.method, f"alpha {alphas}{rate}, {parameters(row.trained_parameters)} parameters")
            )
    inputs = source.inputs()
    for name, one in ({} if inputs is None else inputs.sets).items():
        found.append((f"Set {name}", f"{one.samples:,} samples, fingerprint {one.all[:16]}"))
    versions = source.versions()
    if versions:
        found.append(("Versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    return found


def _chosen(results: Results) -> str:
    selection = results.selection
    return (
        f"{selection.rule}, {selection.split}, {selection.n:,} images" if selection.split else selection.rule
    )
