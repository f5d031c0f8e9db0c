"""What stands below the table of results, by task: nothing, or tables of its own set by set."""

from rich.table import Table

from radapter.report.curves import Json
from radapter.report.metrics import task_of
from radapter.report.recalls import recalls_markdown
from radapter.report.regions import oracles_table, regions_markdown


def details_markdown(results: Json) -> str:
    """The task's own tables; empty where it has none.

    Args:
        results: the whole of results.json, of one seed or of several.
    """
    page = _PAGES.get(task_of(results))
    return "" if page is None else page(results)


def beside_table(results: Json) -> Table | None:
    """What the terminal shows below the table of the task's figure; None where there is nothing."""
    return oracles_table(results) if task_of(results) == "segmentation" else None


_PAGES = {"retrieval": recalls_markdown, "segmentation": regions_markdown}
