"""The HTML report of what has just been trained."""

import logging
from pathlib import Path

from radapter.errors import MissingExtraError, RAdapterError
from radapter.report.page import PAGE, write_page
from radapter.tasks.suite import Suite

_log = logging.getLogger(__name__)


def write_page_beside(folder: Path, suite: Suite | None = None) -> None:
    """Write the HTML report of a run or comparison that has just finished, or log why there is none.

    The test sets of the suite are open already.
    """

    def opened(role: str, name: str) -> object:
        assert suite is not None
        return suite.sets(role)[role, name]

    try:
        write_page(folder, folder / PAGE, sets=None if suite is None else opened)  # type: ignore[arg-type]
    except MissingExtraError as error:
        _log.info("%s was not written: %s Then run radapter report %s", PAGE, error, folder)
    except RAdapterError as error:
        _log.warning("%s was not written: %s", PAGE, error)
