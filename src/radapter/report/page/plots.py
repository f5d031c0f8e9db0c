"""The figures of the page as PNG and SVG, at the chosen alpha of the page's first method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radapter.errors import import_extra
from radapter.report.page.bundle import EXTRA, NEED
from radapter.report.page.facts import page_facts
from radapter.report.page.source import read_folder
from radapter.report.page.writing import details_of, figures_of
from radapter.storage import whole_file, write_text

PLOTS = "plots"
_WIDTH, _SCALE = 460, 2
_ROLES = {"id": "in distribution", "ood": "out of distribution", "transfer": "kept"}


def write_plots(folder: Path, to: Path) -> list[Path]:
    """Writes NAME.png and NAME.svg of every figure into the folder `to`, and returns their paths.

    Raises:
        MissingExtraError: The extra `report` is not installed.
        RunError, DamagedError: There are no results, or they are damaged.
    """
    vl_convert = import_extra("vl_convert", NEED, extra=EXTRA)
    source = read_folder(folder)
    facts, details = page_facts(source), details_of(source)
    written = []
    for name, chart in figures_of(source, facts, details).items():
        data = _chosen_data(facts, "kept" if name == "frontier_kept" else "ood")
        title = {"text": chart.title, "anchor": "start", "fontSize": 13}
        spec = {
            **chart.spec,
            "width": _WIDTH,
            "background": "white",
            "title": title,
            "padding": 12,
            "datasets": data,
        }
        png, svg = to / f"{name}.png", to / f"{name}.svg"
        with whole_file(png) as file:
            file.write(vl_convert.vegalite_to_png(spec, scale=_SCALE))
        write_text(svg, vl_convert.vegalite_to_svg(spec))
        written += [png, svg]
    return written


def _chosen_data(facts: Mapping[str, Any], of: str) -> dict[str, list[dict[str, Any]]]:
    """What the page's slider fills in, for each method at its chosen alpha; `of` is the ordinate of the frontier."""
    found: dict[str, list[dict[str, Any]]] = {"chosen": [], "gains": []}
    for method, points in facts["methods"].items():
        here = min(points, key=lambda point: abs(point["alpha"] - facts["chosen"][method]))
        found["chosen"].append({"method": method, "alpha": here["alpha"], "ID": here["id"], "y": here[of]})
        if method == facts["first"]:
            found["gains"] = [
                {
                    "name": gain["name"],
                    "role": _ROLES[gain["role"]],
                    "gain": 100 * gain["gain"],
                    "low": 100 * (gain["gain"] - (gain["error"] or 0.0)),
                    "high": 100 * (gain["gain"] + (gain["error"] or 0.0)),
                }
                for gain in here["gains"]
            ]
    return found
