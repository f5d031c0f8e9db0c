"""`radapter shards`: a data set as tar shards, and the line of run.yaml that trains on them."""

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.filesize import decimal

from radapter.commands.data_check import advising, spec_of_path, task_of_source
from radapter.commands.evaluate import parsed
from radapter.commands.terminal import say
from radapter.data import MAX_BAD, ClassificationSet, open_classification, open_pairs
from radapter.data.labelled.kinds import labelled_source
from radapter.data.pairs.kinds import pair_source
from radapter.data.pairs.pair_set import PairSet, joined
from radapter.data.pictures.image_files import place_inside, roots_of
from radapter.data.shards import Shards
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.writing import require_webdataset
from radapter.data.source import Reading, Source
from radapter.errors import ConfigError
from radapter.evaluation import TaskName
from radapter.progress import counting
from radapter.storage import check_writable

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def shards(
    data: str,
    *,
    to: Path,
    task: TaskName | None = None,
    size: str = "1GB",
    join_captions: bool = True,
    max_bad: float = MAX_BAD,
    allow_download: bool = False,
) -> Shards:
    """Writes a data set as tar shards; started again, it goes on after the last whole one.

    Raises:
        InputError: the source cannot be opened, `size` is no size, `to` holds something else, or webdataset is not
            installed.
        KeyboardInterrupt: a signal came; the message has the command that continues.
    """
    require_webdataset()
    check_writable(to)
    shard_size = in_bytes(size)
    told = parsed(data)
    source: Any = told if isinstance(told, (dict, list)) else data  # a folder may be called 2024
    asked, task = task, task or _task_of(source)
    if task == "classification" and isinstance(source, list):
        raise ConfigError(
            f"a list of sources is for image-text pairs. Got {data}. Give one, or --task retrieval."
        )
    if task == "classification" and not join_captions:
        raise ConfigError("--apart is for image-text pairs. Labelled images have none. Leave it out.")
    with counting() as bar:
        reading = Reading(max_bad=max_bad, allow_download=allow_download, progress=bar("hashing"))
        try:
            if task == "classification":
                with advising(asked):
                    images = open_classification(source, reading=reading)
                export = partial(export_shards, images)
                report_outside([labelled_source(source)], images)
            else:
                sources = source if isinstance(source, list) else [source]
                pairs = _pairs(sources, reading, join=join_captions)
                export = partial(export_shards, pairs, join_captions=join_captions)
                report_outside([pair_source(each) for each in sources], pairs)
            written = export(
                to, source=source, shard_size=shard_size, max_bad=max_bad, progress=bar("writing")
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"whole shards stay in '{to}'. Continue with the same command") from None
    _report(written, task)
    return written


def in_bytes(size: str) -> int:
    """A size such as 250MB or 1.5 GB, in bytes.

    Raises:
        ConfigError: it is none.
    """
    found = _SIZE.fullmatch(size.strip().lower())
    number = 0 if found is None or found[2] not in _UNITS else int(float(found[1]) * _UNITS[found[2]])
    if number < 1:
        raise ConfigError(f"size must be a number with kB, MB, GB or TB, such as 1GB. Got '{size}'.")
    return number


def report_outside(sources: Sequence[Source], found: ClassificationSet | PairSet) -> None:
    """Prints how many images lie outside the folder of the table that names them by absolute paths."""
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


def _task_of(source: Any) -> TaskName:
    """Retrieval where only image-text pairs have such a source."""
    if isinstance(source, list):
        return "retrieval"
    spec = source if isinstance(source, dict) else spec_of_path(source)
    return "retrieval" if task_of_source(spec) == "retrieval" else "classification"


def _pairs(sources: Sequence[Any], reading: Reading, *, join: bool) -> PairSet:
    opened = [open_pairs(each, reading=reading, join=join) for each in sources]
    return opened[0] if len(opened) == 1 else joined(opened, join=join)


def _report(written: Shards, task: TaskName) -> None:
    left_out = written.of - len(written)
    say(
        f"{len(written):,} images in {len(written.counts):,} {'shard' if len(written.counts) == 1 else 'shards'}, "
        f"{decimal(sum(written.sizes.values()))}, in {written.folder}"
        + (f"; {left_out:,} that are no image files were left out." if left_out else ".")
    )
    folder = str(written.folder)
    whole = {"shards": folder} if task == "classification" else {"webdataset": f"{folder}/*.tar"}
    head = "data:" if task == "classification" else "task: retrieval\ndata:"
    say("\nNext, in run.yaml, to train on them as a stream:\n")
    say(f"{head}\n  train: {_flow({'stream': folder})}")
    say(f"\nor, as any other source, listed when opened: {_flow(whole)}")


def _flow(spec: Mapping[str, str]) -> str:
    return yaml.safe_dump(dict(spec), default_flow_style=True, allow_unicode=True, width=10**6).strip()
