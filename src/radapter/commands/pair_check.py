"""`radapter data check` of image-text pairs: images, captions, what they share, damage."""

import collections
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

from rich.console import Console

from radapter.commands.facts import decoded_in_words, facts_table, sizes_in_words
from radapter.commands.terminal import say
from radapter.data import MAX_BAD, PairSet, open_pairs
from radapter.data.labelled.folder import FolderSource
from radapter.data.labelled.kinds import LABELLED
from radapter.data.masks.kinds import MASKS
from radapter.data.pairs.kinds import PAIRS
from radapter.data.paths import place
from radapter.data.pictures.sampling import looked_at, spread
from radapter.data.source import Reading, Source, keys_of, kind_of
from radapter.data.splits import UNREADABLE
from radapter.data.text_tables import column_names
from radapter.errors import ConfigError, DataError, ImageError
from radapter.evaluation import TaskName
from radapter.progress import counting

SAMPLE = 1000
"""Images that are decoded where not all are."""

_SHOWN = 3
_TELLING = keys_of(PAIRS) - keys_of(LABELLED) - keys_of(MASKS)


@contextmanager
def advising(task: TaskName | None) -> Iterator[None]:
    """A block that opens a source as labelled images; where no task was given, its errors name the option."""
    try:
        yield
    except ConfigError as error:
        if task is None:
            error.add_note("For image-text pairs give --task retrieval.")
        raise


def of_path(path: str) -> dict[str, Any]:
    """What a path that stands alone is taken for, where no task is given."""
    file = place(path)
    kind: type[Source] = kind_of(file, LABELLED) or kind_of(file, PAIRS) or FolderSource
    return {kind.key(): path}


def is_paired(spec: Mapping[str, Any]) -> bool:
    """Whether a specification of a source is one of image-text pairs, by its keys or by its table's columns.

    Raises:
        DataError: the table is missing or none.
    """
    return bool(_TELLING & spec.keys()) or _is_captioned_table(spec)


def pair_check(spec: Mapping[str, Any], *, whole: bool = False, allow_download: bool = False) -> PairSet:
    """Opens a source of image-text pairs as a run would and prints what it holds.

    Args:
        spec: as in run.yaml.
        whole: decode every image, not a sample.
        allow_download: whether the hub may be asked.

    Raises:
        InputError: the source cannot be opened, or more images cannot be read than a run accepts.
    """
    with counting() as bar:
        pairs = open_pairs(
            spec, reading=Reading(max_bad=1.0, allow_download=allow_download, progress=bar("hashing"))
        )
        chosen = spread(pairs.keys, None if whole else SAMPLE)
        looks = list(looked_at(lambda index: _look_at(pairs, index), chosen, progress=bar("decoding")))
    damage = [look for look in looks if isinstance(look, str)]
    sizes = [look for look in looks if not isinstance(look, str)]
    Console().print(facts_table(pairs.name, _facts(pairs, sizes, len(looks))))
    for message in damage[:_SHOWN]:
        say(message, "yellow")
    if len(damage) > MAX_BAD * len(looks):
        raise DataError(
            f"at most {MAX_BAD:.2%} of the images may be unreadable (data.max_bad). Of the {len(looks):,} decoded "
            f"in '{pairs.name}' {len(damage):,} are. Repair them, or raise data.max_bad."
        )
    return pairs


def _is_captioned_table(spec: Mapping[str, Any]) -> bool:
    if not isinstance(spec.get("csv"), str) or "label" in spec:
        return False
    names = column_names(place(spec["csv"]))
    return {str(spec.get("image", "image")), "caption"} <= set(names) and "label" not in names


def _look_at(pairs: PairSet, index: int) -> tuple[int, int] | str:
    try:
        return pairs.image(index).size
    except ImageError as error:
        return str(error)


def _facts(pairs: PairSet, sizes: list[tuple[int, int]], tried: int) -> list[tuple[str, str]]:
    figures = pairs.figures
    per_image = pairs.image_of_caption.bincount(minlength=len(pairs)).tolist()
    words = [len(caption.split()) for caption in pairs.captions]
    readable = [key for key in pairs.keys.tolist() if key != UNREADABLE]
    copies = sum(count - 1 for count in collections.Counter(readable).values())
    rows = [
        ("Images", f"{figures.images:,}"),
        ("Captions", f"{figures.captions:,}"),
        ("Captions per image", f"from {min(per_image)} to {max(per_image)}, median {median(per_image):g}"),
        ("Words of a caption", f"{min(words)} / {median(words):g} / {max(words)}"),
        ("Captions that groups share", f"{figures.shared_captions:,}"),
        ("Target classes", f"{figures.classes:,}, the largest of {figures.largest:,} images"),
        ("Copies", f"{copies:,} of {figures.images:,}, by content"),
        ("Decoded", decoded_in_words(tried, len(pairs))),
    ]
    if sizes:
        widths, heights = zip(*sizes, strict=True)
        spans = (min(widths), max(widths)), (min(heights), max(heights))
        rows.append(("Size in pixels", sizes_in_words(*spans)))
    return [*rows, ("Unreadable", f"{tried - len(sizes):,}")]
