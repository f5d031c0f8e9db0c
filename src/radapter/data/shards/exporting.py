"""Writes a data set as shards: every image as a file, with its class or its captions, in the order of the data set.

Image files are copied unchanged; what has none (a drawn scene, a changed image) is written as PNG.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from radapter.data.images.bad_images import MAX_BAD, BadImages
from radapter.data.images.decoding import file_format
from radapter.data.labelled.classification import ClassificationSet
from radapter.data.pairs.pair_set import PairSet
from radapter.data.shards.parts import IMAGES, sample_json
from radapter.data.shards.sizes import CONTENTS, SIZES, Shards, write_contents
from radapter.data.shards.writing import GIGABYTE, Sample, write_shards
from radapter.data.splits import Progress
from radapter.errors import ImageError
from radapter.manifests import record

LABELLED, PAIRS = "labelled", "pairs"
"""The kinds of shards."""
Parts = Callable[[int], dict[str, bytes]]
"""The files beside the image with this index."""


def export_shards(
    dataset: ClassificationSet | PairSet,
    folder: Path,
    *,
    source: object,
    join_captions: bool = True,
    shard_size: int = GIGABYTE,
    max_bad: float = MAX_BAD,
    progress: Progress | None = None,
) -> Shards:
    """Writes labelled images, without their groups, or captioned images with their group and target class.

    Target classes depend on the whole data set, which a stream never sees, so they are written too.

    Args:
        dataset: What to write.
        folder, shard_size, progress: As for `write_shards`.
        source: What the data set was opened from, as JSON; kept in sizes.json.
        join_captions: Whether captioned images were opened so; kept in sizes.json.
        max_bad: Fraction of the images that may be no image files; they are left out.

    Raises:
        DataError: Too many are no image files.
        MissingExtraError, RunError: As `write_shards`.
    """
    bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
    facts, parts = _paired(dataset) if isinstance(dataset, PairSet) else _labelled(dataset)
    about = {
        "kind": PAIRS if isinstance(dataset, PairSet) else LABELLED,
        "source": source,
        **({"join_captions": join_captions} if isinstance(dataset, PairSet) else {}),
        "fingerprint": dataset.fingerprint,
        **facts,
    }

    def items(start: int) -> Iterator[Sequence[Sample]]:
        for index in range(start, len(dataset)):
            try:
                image = dataset.encoded(index)
                extension = _extension(image, dataset.where(index))
            except ImageError as error:
                bad.add(index, error)
                yield ()
            else:
                yield (Sample(f"{index:09d}", {extension: image, **parts(index)}),)

    written = write_shards(folder, items, len(dataset), about=about, shard_size=shard_size, progress=progress)
    write_contents(folder, dataset.keys)
    record(folder, SIZES, CONTENTS)
    return written


def _labelled(dataset: ClassificationSet) -> tuple[dict[str, Any], Parts]:
    labels, keys = dataset.labels.tolist(), dataset.keys.tolist()
    facts = {"classnames": list(dataset.classnames)}
    return facts, lambda i: {"cls": str(labels[i]).encode(), "json": sample_json(keys[i])}


def _paired(pairs: PairSet) -> tuple[dict[str, Any], Parts]:
    captions: list[list[str]] = [[] for _ in range(len(pairs))]
    for caption, image in zip(pairs.captions, pairs.image_of_caption.tolist(), strict=True):
        captions[image].append(caption)
    facts = {
        "captions": len(pairs.captions),
        "most_captions": max(map(len, captions)),
        "target_classes": pairs.figures.classes,
    }
    groups, targets, keys = (each.tolist() for each in (pairs.groups, pairs.targets, pairs.keys))
    return facts, lambda i: {
        "json": sample_json(keys[i], captions=captions[i], group=groups[i], target=targets[i])
    }


def _extension(content: bytes, where: str) -> str:
    found = IMAGES.get(file_format(content))
    if found is None:
        raise ImageError(
            f"image must be a file of a known format ({', '.join(IMAGES)}). '{where}' is not. Replace or remove it."
        )
    return found
