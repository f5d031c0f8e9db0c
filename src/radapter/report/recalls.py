"""Retrieval's usual tables: for each set R@1, R@5 and R@10 in both directions, and their sum times 100."""

from collections.abc import Iterator

from radapter.report.curves import Json
from radapter.report.metrics import headline_of
from radapter.report.table import points_beside

_HEADERS = ("Method", "Alpha", "I2T R@1", "R@5", "R@10", "T2I R@1", "R@5", "R@10", "rsum")
_ROLES = {"id": "in distribution", "ood": "out of distribution"}


def recalls_markdown(results: Json) -> str:
    """One table a set, methods at their alpha and, in italics, at those beside it.

    Args:
        results: the whole of results.json of a retrieval, of one seed or of several.
    """
    return "\n".join(_tables(results))


def _tables(results: Json) -> Iterator[str]:
    headline = headline_of(results)
    names = (*headline.parts, headline.metric)
    for role, words in _ROLES.items():
        for name in dict.fromkeys(name for row in results["rows"] for name in row[role]):
            of_first = results["rows"][0][role][name]
            yield (
                f"`{name}`, {words}: recalls in %, rsum their sum; {of_first['n']:,.0f} images, "
                f"{of_first['texts']:,.0f} captions.\n"
            )
            yield "| " + " | ".join(_HEADERS) + " |"
            yield "|---|" + "---:|" * (len(_HEADERS) - 1)
            for row in results["rows"]:
                method = row["method"]
                alpha = "-" if method == "zero-shot" else f"{row['alpha']:.2g}"
                yield _line([method, alpha, *(_cell(row[role][name], of) for of in names)])
                for point in points_beside(results, row):
                    cells = [method, f"{point['alpha']:g}", *(_cell(point[role][name], of) for of in names)]
                    yield _line([f"*{cell}*" for cell in cells])
            yield ""


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(metrics: Json, name: str) -> str:
    spread = metrics.get(f"{name}_std")
    return f"{100 * metrics[name]:.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
