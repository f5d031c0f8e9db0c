"""`radapter search`: a folder of images, searched by text."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.encoders import encoder_of
from radapter.commands.terminal import next_steps, say, say_aside
from radapter.errors import ConfigError, ModelError
from radapter.evaluation.features import encode_texts
from radapter.models import DualEncoder
from radapter.progress import counting
from radapter.search import (
    Hit,
    Indexed,
    find,
    index_folder,
    read_index,
    sheet_html,
    write_index,
)
from radapter.search.indexing import images_below
from radapter.search.sheet import printable
from radapter.storage import check_destination, write_text

_SHOWN = 5  # unreadable images that are named; the others are counted


def search(
    what: str,
    queries: Sequence[str],
    *,
    images: Path,
    top: int = 10,
    html: Path | None = None,
    index: Path | None = None,
    allow_download: bool = False,
) -> dict[str, list[Hit]]:
    """Prints the images of a folder that are nearest to each query.

    Raises:
        InputError: a query is empty, the folder has no readable image, the model no text tower, or an index is
            damaged, of another model or of another folder, or `html` or `index` lies where nothing can be written.
    """
    _check(queries, html=html, index=index)
    images_below(images)
    known = read_index(index) if index is not None and index.exists() else None
    with encoder_of(what, allow_download=allow_download) as (encoder, model):
        if not encoder.text_tower():
            raise ModelError(
                f"search needs a model with a text tower. '{what}' has none. Use another, see 'MODEL'."
            )
        texts = list(dict.fromkeys(queries))
        _report_long(texts, encoder)
        text_features = encode_texts(encoder, texts)
        with counting() as bar:
            indexed = index_folder(encoder, images, model=model, known=known, progress=bar("encoding"))
    _report(indexed, asked=index is not None)
    if index is not None and indexed.index is not known:
        write_index(index, indexed.index)
    found = dict(zip(texts, find(indexed.index, text_features, top=top), strict=True))
    for query, hits in found.items():
        _print_hits(query, hits, images)
    if html is not None:
        about = f"{len(indexed.index):,} images in {images}, {what}"
        write_text(html, sheet_html(found, images, about=about))
        next_steps(("look at it", f"open {shlex.quote(str(html))}"))
    return found


def _check(queries: Sequence[str], *, html: Path | None, index: Path | None) -> None:
    if not queries:
        raise ConfigError('a query must be given. Got none. Put it in quotes: "a red car".')
    empty = [number for number, query in enumerate(queries, start=1) if not query.strip()]
    if empty:
        raise ConfigError(f"a query must hold a word. Number {empty[0]} is empty. Leave it out.")
    for option, path in (("--html", html), ("--index", index)):
        if path is not None:
            check_destination(path)
            if path.is_dir():
                raise ConfigError(f"{option} must be a file. '{path}' is a folder. Give a name in it.")


def _report_long(texts: Sequence[str], encoder: DualEncoder) -> None:
    for text, tokens in zip(texts, encoder.token_counts(texts), strict=True):
        if tokens > encoder.context_length:
            say_aside(
                f"a text should have at most {encoder.context_length} tokens, the text tower's context. "
                f"'{printable(text[:80])}...' has {tokens}, and its end is cut. Shorten it."
            )


def _report(indexed: Indexed, *, asked: bool) -> None:
    if indexed.unreadable:
        say_aside(f"Unreadable images, left out: {len(indexed.unreadable)}")
        for message in indexed.unreadable[:_SHOWN]:
            say_aside(f"  {printable(message)}")
        if len(indexed.unreadable) > _SHOWN:
            say_aside(f"  and {len(indexed.unreadable) - _SHOWN} more")
    if asked:
        say_aside(f"index: {indexed.kept} kept, {indexed.encoded} encoded, {indexed.dropped} dropped")


def _print_hits(query: str, hits: Sequence[Hit], folder: Path) -> None:
    say(f"\n{printable(query)}", style="bold")
    say("  rank  cosine  image")
    for hit in hits:
        say(f"  {hit.rank:>4}  {hit.cosine:>6.3f}  {printable(os.fspath(folder / hit.path))}")
