"""What follows the table of results, by task: nothing, or tables of its own set by set."""

from rich.table import Table

from radapter.report.recalls import recalls_markdown
from radapter.report.regions import oracles_table, regions_markdown
from radapter.runs.results import Results

_PAGES = {"retrieval": recalls_markdown, "segmentation": regions_markdown}


def details_markdown(results: Results) -> str:
    """The task's own tables; empty where it has none."""
    page = _PAGES.get(results.task)
    return "" if page is None else page(results)


def beside_table(results: Results) -> Table | None:
    """What the terminal shows below the table of the task's figure; None where there is nothing."""
    return oracles_table(results) if results.task == "segmentation" else None
