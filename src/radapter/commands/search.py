"""`radapter search`: a folder of images, searched by text."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from radapter.commands.encoders import encoder_of, warn_of_long_texts
from radapter.commands.terminal import next_steps, report_left_out, say, say_aside
from radapter.errors import ConfigError
from radapter.evaluation.features import encode_texts
from radapter.models import DualEncoder
from radapter.operations.checks import check_text_tower
from radapter.progress import counting
from radapter.search import Hit, ImageIndex, find, index_folder, read_index, sheet_html, write_index
from radapter.search.index import images_below
from radapter.search.sheet import printable
from radapter.storage import check_destination, free, write_text


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
    check_file("--out", html)
    known = known_index(images, index)
    with encoder_of(what, allow_download=allow_download) as (encoder, model):
        check_text_tower(encoder)
        texts = list(dict.fromkeys(queries))
        warn_of_long_texts(encoder, texts)
        text_features = encode_texts(encoder, texts)
        indexed = updated_index(encoder, images, model=model, known=known, to=index)
    found = dict(zip(texts, find(indexed, text_features, top=top), strict=True))
    for query, hits in found.items():
        say(f"\n{printable(query)}", style="bold")
        say("  rank  cosine  image")
        for hit in hits:
            say(f"  {hit.rank:>4}  {hit.cosine:>6.3f}  {printable(os.fspath(images / hit.path))}")
    if html is not None:
        about = f"{len(indexed):,} images in {images}, {what}"
        write_text(html, sheet_html(found, images, about=about))
        next_steps(("look at it", f"open {shlex.quote(str(html))}"))
    else:
        words = ["radapter", "search", what, *texts, "--data", str(images)]
        words += [] if index is None else ["--index", str(index)]
        next_steps(("a page with thumbnails", f"{shlex.join(words)} --out {free('hits.html')}"))
    return found


def check_file(option: str, path: Path | None) -> None:
    """Raise InputError if a file that an option names cannot be written."""
    if path is None:
        return
    check_destination(path)
    if path.is_dir():
        raise ConfigError(f"{option} must be a file. '{path}' is a folder. Give a name in it.")


def known_index(images: Path, index: Path | None) -> ImageIndex | None:
    """Return the index of --index, None if there is none yet. Raise InputError if it or --data cannot be used."""
    check_file("--index", index)
    images_below(images)
    return read_index(index) if index is not None and index.exists() else None


def updated_index(
    encoder: DualEncoder, images: Path, *, model: str, known: ImageIndex | None, to: Path | None
) -> ImageIndex:
    """Return the index of a folder; encodes what `known` lacks, writes the file `to` and prints what was done."""
    with counting() as bar:
        indexed = index_folder(encoder, images, model=model, known=known, progress=bar("encoding"))
    report_left_out("Unreadable images, left out", indexed.unreadable)
    if to is not None:
        say_aside(f"index: {indexed.kept} kept, {indexed.encoded} encoded, {indexed.dropped} dropped")
        if indexed.index is not known:
            write_index(to, indexed.index)
    return indexed.index
