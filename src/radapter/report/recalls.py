"""Retrieval's usual tables: for each set R@1, R@5 and R@10 in both directions, and their sum times 100."""

from radapter.report.cells import ROLES, cell, lines_of, markdown
from radapter.runs.results import Results

_HEADERS = ("Method", "Alpha", "I2T R@1", "R@5", "R@10", "T2I R@1", "R@5", "R@10", "rsum")


def recalls_markdown(results: Results) -> str:
    """One table a set, methods at their alpha and, in italics, at those beside it."""
    metrics = (*results.headline.parts, results.headline.metric)
    parts = []
    for role, words in ROLES.items():
        for name in results.sets(role):
            first = results.rows[0].sets(role)[name]
            lines = []
            for line in lines_of(results):
                figures = (cell(line.figures.value(role, name, metric)).text for metric in metrics)
                cells = [line.row.method, line.alpha, *figures]
                lines.append([f"*{text}*" for text in cells] if line.beside else cells)
            parts += [
                f"`{name}`, {words}: recalls in %, rsum their sum; {first['n']:,.0f} images, "
                f"{first['texts']:,.0f} captions.\n",
                markdown(_HEADERS, lines),
                "",
            ]
    return "\n".join(parts)
