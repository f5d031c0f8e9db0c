"""What a run looks like: the table and the frontier, drawn from results.json alone, with no model at hand."""

from radapter.report.frontier import draw, frontier_figure
from radapter.report.table import METRIC_NAMES, results_markdown, results_table

__all__ = ["METRIC_NAMES", "draw", "frontier_figure", "results_markdown", "results_table"]
