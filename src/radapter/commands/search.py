"""`radapter search`: a folder of images, searched by text."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.checks import check_text_tower
from radapter.commands.encoders import encoder_of, warn_of_long_texts
from radapter.commands.terminal import free, next_steps, report_left_out, say, say_aside
from radapter.errors import ConfigError
from radapter.evaluation.features import encode_texts
from radapter.progress import counting
from radapter.search import Hit, find, index_folder, read_index, sheet_html, write_index
from radapter.search.index import images_below
from radapter.search.sheet import printable
from radapter.storage import check_destination, write_text


def search(
    what: str,
    queries: Sequence[str],
    *,
    images: Path,
    top: int,
    html: Path | None,
    index: Path | None,
    allow_download: bool,
) -> dict[str, list[Hit]]:
    """Prints, and returns for each query, the images of a folder that are nearest to it.

    Raises:
        InputError: a query is empty, the folder has no readable image, the model has no text tower, the index is
            damaged or of another model or folder, or `html` or `index` cannot be written.
    """
    for number, query in enumerate(queries, start=1):
        if not query.strip():
            raise ConfigError(f"a query must hold a word. Number {number} is empty. Leave it out.")
    for option, path in (("--out", html), ("--index", index)):
        if path is not None:
            check_destination(path)
            if path.is_dir():
                raise ConfigError(f"{option} must be a file. '{path}' is a folder. Give a name in it.")
    images_below(images)
    known = read_index(index) if index is not None and index.exists() else None
    with encoder_of(what, allow_download=allow_download) as (encoder, model):
        check_text_tower(encoder)
        texts = list(dict.fromkeys(queries))
        warn_of_long_texts(encoder, texts)
        text_features = encode_texts(encoder, texts)
        with counting() as bar:
            indexed = index_folder(encoder, images, model=model, known=known, progress=bar("encoding"))
    report_left_out("Unreadable images, left out", indexed.unreadable)
    if index is not None:
        say_aside(f"index: {indexed.kept} kept, {indexed.encoded} encoded, {indexed.dropped} dropped")
        if indexed.index is not known:
            write_index(index, indexed.index)
    found = dict(zip(texts, find(indexed.index, text_features, top=top), strict=True))
    for query, hits in found.items():
        say(f"\n{printable(query)}", style="bold")
        say("  rank  cosine  image")
        for hit in hits:
            say(f"  {hit.rank:>4}  {hit.cosine:>6.3f}  {printable(os.fspath(images / hit.path))}")
    if html is not None:
        about = f"{len(indexed.index):,} images in {images}, {what}"
        write_text(html, sheet_html(found, images, about=about))
        next_steps(("look at it", f"open {shlex.quote(str(html))}"))
    else:
        words = ["radapter", "search", what, *texts, "--data", str(images)]
        words += [] if index is None else ["--index", str(index)]
        next_steps(("a page with thumbnails", f"{shlex.join(words)} --out {free('hits.html')}"))
    return found
