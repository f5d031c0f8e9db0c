"""Reports of a run: the tables and the frontier, made from results.json alone, without a model."""

from radapter.report.frontier import draw, frontier_figure
from radapter.report.metrics import METRICS
from radapter.report.pages import beside_table, details_markdown
from radapter.report.selection import chosen_alpha, kept_zero_shot
from radapter.report.sets import sets_tables
from radapter.report.table import results_markdown, results_table

__all__ = [
    "METRICS", "beside_table", "chosen_alpha", "details_markdown", "draw", "frontier_figure",
    "kept_zero_shot", "results_markdown", "results_table", "sets_tables",
]  # fmt: skip
