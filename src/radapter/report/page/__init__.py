"""The HTML report of a run or a comparison, one self-contained file, and its figures as PNG and SVG.

Reading order: `source` (what a folder holds), `facts` (what the slider moves), `details` (single images, by task),
`charts` (Vega-Lite, drawn by altair), `writing`, `plots`.
"""

from radapter.report.page.writing import PAGE, write_page

__all__ = ["PAGE", "write_page"]
