"""What a run looks like: the table and the frontier, drawn from results.json alone, with no model at hand."""

from radapter.report.frontier import draw, frontier_figure
from radapter.report.metrics import METRICS
from radapter.report.recalls import recalls_markdown
from radapter.report.table import results_markdown, results_table

__all__ = ["METRICS", "draw", "frontier_figure", "recalls_markdown", "results_markdown", "results_table"]
