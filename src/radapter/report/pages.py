"""What follows the table of results, by task: nothing, or tables of its own set by set."""

from collections.abc import Callable, Mapping

from rich.table import Table

from radapter.runs.results import Results
from radapter.task_list import OfEachTask

_PAGES: Mapping[str, Callable[[Results], str] | None] = OfEachTask("page")
_TABLES: Mapping[str, Callable[[Results], Table] | None] = OfEachTask("table_below")


def details_markdown(results: Results) -> str:
    """The task's own tables; empty where it has none."""
    page = _PAGES[results.task]
    return "" if page is None else page(results)


def beside_table(results: Results) -> Table | None:
    """What the terminal shows below the table of the task's figure; None where there is nothing."""
    table = _TABLES[results.task]
    return None if table is None else table(results)
