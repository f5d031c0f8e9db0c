"""`radapter shards`: a data set as tar shards, and the line of run.yaml that trains on them."""

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from radapter.commands.data_check import advising, spec_of_path, task_of_source
from radapter.commands.evaluate import parsed
from radapter.commands.terminal import next_in_run_yaml, say
from radapter.data import ClassificationSet, open_classification, open_pairs
from radapter.data.images.image_files import place_inside, roots_of
from radapter.data.labelled.kinds import labelled_source
from radapter.data.pairs.kinds import pair_source
from radapter.data.pairs.pair_set import PairSet, joined
from radapter.data.shards import Shards
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.writing import require_webdataset
from radapter.data.source import Reading, Source
from radapter.errors import ConfigError
from radapter.operations.bars import continued_with
from radapter.operations.sets import in_flow
from radapter.progress import counting
from radapter.storage import check_writable


def shards(
    data: str,
    to: Path,
    *,
    task: str | None,
    size: str,
    join: bool,
    max_bad: float,
    allow_download: bool,
) -> None:
    """Writes a data set as tar shards. If interrupted, the same call continues after the last whole shard.

    Raises:
        InputError: the source cannot be opened, `size` is not a size, `to` holds something else, or webdataset is
            not installed.
        KeyboardInterrupt: a signal came; whole shards are kept.
    """
    require_webdataset()
    check_writable(to)
    shard_size = in_bytes(size)
    value = parsed(data)
    source: Any = value if isinstance(value, (dict, list)) else data  # a folder may be called 2024
    asked, task = task, task or _task_of(source)
    if task == "classification" and isinstance(source, list):
        raise ConfigError(
            f"a list of sources is for image-text pairs. Got {data}. Give one, or --task retrieval."
        )
    if task == "classification" and not join:
        raise ConfigError("--apart is for image-text pairs. Labelled images have none. Leave it out.")
    with continued_with("the same command", to), counting() as bar:
        reading = Reading(max_bad=max_bad, allow_download=allow_download, progress=bar("hashing"))
        if task == "classification":
            with advising(asked):
                images = open_classification(source, reading=reading)
            export = partial(export_shards, images)
            report_outside([labelled_source(source)], images)
        else:
            sources = source if isinstance(source, list) else [source]
            opened = [open_pairs(each, reading=reading, join=join) for each in sources]
            pairs = opened[0] if len(opened) == 1 else joined(opened, join=join)
            export = partial(export_shards, pairs, join_captions=join)
            report_outside([pair_source(each) for each in sources], pairs)
        written = export(to, source=source, shard_size=shard_size, max_bad=max_bad, progress=bar("writing"))
    _report(written, task)


def in_bytes(size: str) -> int:
    """A size such as 250MB or 1.5 GB, in bytes. Raises ConfigError for other text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(|kb|mb|gb|tb)", size.strip().lower())
    number = int(float(found[1]) * 1000 ** ("", "kb", "mb", "gb", "tb").index(found[2])) if found else 0
    if number < 1:
        raise ConfigError(f"size must be a number with kB, MB, GB or TB, such as 1GB. Got '{size}'.")
    return number


def report_outside(sources: Sequence[Source], found: ClassificationSet | PairSet) -> None:
    """Prints how many images of a table with absolute paths lie outside the table's folder."""
    tables = [listing for listing in (source.listing() for source in sources) if listing is not None]
    roots = [root for folder, table in tables for root in roots_of(folder, table)]
    files = [found.where(index) for index in range(len(found))] if tables else []
    outside = [
        file for file in files if Path(file).is_absolute() and place_inside(file, Path(), roots) is None
    ]
    if outside:
        common = os.path.commonpath([os.path.dirname(file) for file in outside])  # noqa: PTH120
        say(
            f"{len(outside):,} of {len(files):,} images lie outside '{tables[0][0]}', below '{common}'. They are "
            "packed as well.",
            "yellow",
        )


def _task_of(source: Any) -> str:
    """Retrieval for a source that only image-text pairs have, else classification."""
    if isinstance(source, list):
        return "retrieval"
    spec = source if isinstance(source, dict) else spec_of_path(source)
    return "retrieval" if task_of_source(spec) == "retrieval" else "classification"


def _report(written: Shards, task: str) -> None:
    left_out, count = written.of - len(written), len(written.counts)
    shards = f"{count:,} {'shard' if count == 1 else 'shards'}, {decimal(sum(written.sizes.values()))}"
    end = f"; {left_out:,} that are not image files were left out." if left_out else "."
    say(f"{len(written):,} images in {shards}, in {written.folder}{end}")
    folder = str(written.folder)
    whole, head = {"shards": folder}, "data:"
    if task == "retrieval":
        whole, head = {"webdataset": f"{folder}/*.tar"}, "task: retrieval\ndata:"
    next_in_run_yaml(f"{head}\n  train: {in_flow({'stream': folder})}")
    say(f"\nThis trains on them as a stream. As a source that is listed when opened: {in_flow(whole)}")
