"""Hits as one self-contained HTML page: thumbnails are embedded, nothing runs, nothing is loaded."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from radapter.data.images.decoding import decode
from radapter.errors import ImageError
from radapter.search.index import Hit

_SIDE = 320  # pixels of a thumbnail's longer side; a card shows it at half that size or a little more

CARDS_CSS = """:root { --card: #fff; --ink: #1d1d1b; --soft: #6a6a66; --line: #e2e2dd; --mat: #ecece8;
  --bar: #2f6f9f; }
@media (prefers-color-scheme: dark) { :root { --card: #20201e; --ink: #ececea; --soft: #9b9b95; --line: #32322f;
  --mat: #121210; --bar: #6fb1e0; } }
.hits { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(11rem, 40%), 1fr)); }
.hits figure { margin: 0; height: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; }
.hits .mat { display: grid; place-items: center; aspect-ratio: 1; background: var(--mat); color: var(--soft); }
.hits img { width: 100%; height: 100%; object-fit: contain; }
.hits figcaption { padding: .55rem .7rem .7rem; font-size: .8rem; color: var(--soft); }
.hits .score { display: flex; justify-content: space-between; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.hits .bar { height: 3px; margin: .35rem 0 .45rem; border-radius: 2px; background: var(--mat); overflow: hidden; }
.hits .bar i { display: block; height: 100%; background: var(--bar); }
.hits .path { overflow-wrap: anywhere; }
"""
"""The style of `cards_html`."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --page: #f6f6f4; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #161614; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 84rem; background: var(--page); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }}
header p, h2 small {{ color: var(--soft); }}
h1 {{ font-size: 1.35rem; margin: 0; }}
header p {{ margin: .2rem 0 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .8rem; overflow-wrap: anywhere; }}
h2 small {{ font-weight: 400; font-size: .85rem; margin-left: .4rem; }}
{cards}</style>
</head>
<body>
<header><h1>{title}</h1><p>{about}</p></header>
{sections}
</body>
</html>
"""


def sheet_html(found: Mapping[str, Sequence[Hit]], folder: Path, *, about: str) -> str:
    """A page with a section for each query of `found` and a card for each hit; every text is escaped.

    The bar under a hit is its cosine as a share of the query's best. `about` is a line below the title.
    """
    images = {hit.path: _thumbnail(folder / hit.path) for hits in found.values() for hit in hits}
    sections = "\n".join(_section(query, hits, images) for query, hits in found.items())
    title = f"Search in {printable(folder.name or str(folder.resolve()))}"
    return _PAGE.format(
        cards=CARDS_CSS, title=escape(title), about=escape(printable(about)), sections=sections
    )


def cards_html(hits: Sequence[Hit], folder: Path) -> str:
    """A list of cards, one for each hit, with embedded thumbnails; a page that shows it needs CARDS_CSS."""
    return _cards(hits, {hit.path: _thumbnail(folder / hit.path) for hit in hits})


def printable(text: str) -> str:
    """The text as one line of printable characters; others become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _section(query: str, hits: Sequence[Hit], images: Mapping[str, str]) -> str:
    count = f"{len(hits)} hit{'s' if len(hits) > 1 else ''}"
    heading = f"<h2>{escape(printable(query))}<small>{count}</small></h2>"
    return f"<section>{heading}\n{_cards(hits, images)}</section>"


def _cards(hits: Sequence[Hit], images: Mapping[str, str]) -> str:
    best = max(hits[0].cosine, 0)
    cards = "\n".join(_card(hit, images[hit.path], best) for hit in hits)
    return f'<ol class="hits">\n{cards}\n</ol>'


def _card(hit: Hit, source: str, best: float) -> str:
    share = 100 * max(hit.cosine, 0) / best if best else 0
    path = escape(printable(hit.path))
    image = f'<img src="{source}" alt="{path}">' if source else "no longer readable"
    return (
        f'<li><figure><div class="mat">{image}</div><figcaption>'
        f'<div class="score"><span>{hit.rank}</span><span>{hit.cosine:.3f}</span></div>'
        f'<div class="bar"><i style="width:{share:.0f}%"></i></div><div class="path">{path}</div>'
        "</figcaption></figure></li>"
    )


def _thumbnail(path: Path) -> str:
    try:
        image = decode(path, where=str(path))
    except ImageError:
        return ""
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
