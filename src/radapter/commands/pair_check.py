"""`radapter data check` of image-text pairs: images, captions, what they share, damage."""

import collections
from statistics import median

from radapter.commands import facts
from radapter.commands.terminal import say
from radapter.data import PairSet, open_pairs
from radapter.data.images.sampling import looked_at, spread
from radapter.data.paths import place
from radapter.data.source import Reading
from radapter.data.splits import UNREADABLE
from radapter.data.text_tables import column_names
from radapter.errors import ImageError
from radapter.operations.task import Spec
from radapter.progress import counting

SAMPLE = 1000
"""Images that are decoded unless all are."""

_SHOWN = 3


def is_captioned_table(spec: Spec) -> bool:
    """Whether a source is a table of images with captions and without class labels, by its columns.

    Raises:
        DataError: the table is missing or cannot be read.
    """
    if not isinstance(spec.get("csv"), str) or "label" in spec:
        return False
    names = column_names(place(spec["csv"]))
    return {str(spec.get("image", "image")), "caption"} <= set(names) and "label" not in names


def pair_check(
    spec: Spec, *, stream: Spec | None = None, whole: bool = False, allow_download: bool = False
) -> PairSet:
    """Open image-text pairs as a run would, print what they hold, and propose the lines of run.yaml."""
    with counting() as bar:
        reading = Reading(max_bad=1.0, allow_download=allow_download, progress=bar("hashing"))
        pairs = open_pairs(spec, reading=reading)
        chosen = spread(pairs.keys, None if whole else SAMPLE)
        looks = list(looked_at(lambda index: _look_at(pairs, index), chosen, progress=bar("decoding")))
    damage = [look for look in looks if isinstance(look, str)]
    sizes = [look for look in looks if not isinstance(look, str)]
    facts.print_facts(pairs.name, _facts(pairs, sizes, len(looks)))
    for message in damage[:_SHOWN]:
        say(message, "yellow")
    facts.check_damage(pairs.name, len(damage), len(looks))
    facts.propose(facts.uncut(spec) if stream is None else {"train": stream}, "retrieval")
    return pairs


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
        ("Duplicates", f"{copies:,} of {figures.images:,}, by content"),
        ("Decoded", facts.decoded_in_words(tried, len(pairs))),
    ]
    if sizes:
        widths, heights = zip(*sizes, strict=True)
        spans = (min(widths), max(widths)), (min(heights), max(heights))
        rows.append(("Size in pixels", facts.sizes_in_words(*spans)))
    return [*rows, ("Unreadable", f"{tried - len(sizes):,}")]
