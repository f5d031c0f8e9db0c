"""Writes regions into tar shards; radapter/data/regions.py describes the format.

The regions of an image do not depend on other images, so a call that was stopped and continued writes the same bytes
as one that was not.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from PIL import Image
from torch import Tensor

from radapter.data import MAX_BAD, BadImages, PairedMaskDataset, PairSet
from radapter.data.regions import NOUNS
from radapter.data.shards import SIZES, Sample, Shards, write_shards
from radapter.data.splits import Progress, fingerprint
from radapter.errors import DataError, ImageError
from radapter.manifests import record
from radapter.segmentation.crops import tight_boxes
from radapter.storage import write_json

SHARD_SIZE = 32 * 10**6
"""Bytes of a shard: what an interruption loses is at most the work for one."""


@final
@dataclass(frozen=True)
class RegionFolder:
    """A folder to write regions into, and how.

    Attributes:
        path: New, or one that the same call began.
        about: JSON that decides the regions besides the images.
        shard_size: Bytes after which a shard ends.
        max_bad: Fraction of the images that may be unreadable; they are reported and left out.
        progress: Called with (images done, all).
    """

    path: Path
    about: Mapping[str, Any]
    shard_size: int = SHARD_SIZE
    max_bad: float = MAX_BAD
    progress: Progress | None = None


class Shown(NamedTuple):
    """What a region shows: a noun, its place in the vocabulary, and for a mined one the caption that names it.

    score: Cosine of region and noun. margin: Lead over the second; infinite if there is none.
    """

    noun: str
    noun_id: int
    caption: str | None = None
    score: float | None = None
    margin: float | None = None


def write_regions(
    source: PairSet | PairedMaskDataset,
    of_image: Callable[[int], Iterable[Sample]],
    nouns: Sequence[str],
    folder: RegionFolder,
    *,
    nothing: Callable[[], DataError],
) -> Shards:
    """Writes shards and nouns.json.

    Args:
        source: N images.
        of_image: Returns the regions of an image, or raises ImageError if it cannot be read.
        nouns: The vocabulary.
        folder: Where and how.
        nothing: Makes the error to raise if no image gives a region; the folder is removed then.

    Raises:
        DataError: There is no region, or too many images are unreadable.
        RunError: The folder holds something else.
    """
    bad = BadImages(source.name, len(source), max_bad=folder.max_bad)
    given, finished = 0, False

    def items(start: int) -> Iterator[Sequence[Sample]]:
        nonlocal given, finished
        given = start  # shards that are there hold regions
        for index in range(start, len(source)):
            samples: list[Sample] = []
            try:
                samples += of_image(index)
            except ImageError as error:
                bad.add(index, error)
            given += len(samples)
            yield samples
        finished = True

    about = {**folder.about, "fingerprint": fingerprint(source.keys, *nouns)}
    try:
        written = write_shards(
            folder.path,
            items,
            len(source),
            about=about,
            shard_size=folder.shard_size,
            progress=folder.progress,
        )
    except DataError as error:
        if given or not finished:
            raise
        raise nothing() from error
    write_json(folder.path / NOUNS, {"nouns": list(nouns)})
    record(folder.path, SIZES, NOUNS)
    return written


def region_sample(
    source: PairSet | PairedMaskDataset,
    index: int,
    number: int,
    image: Image.Image,
    mask: Tensor,
    shown: Shown,
) -> Sample:
    """One region as the shards hold it.

    Args:
        source: Holds the image.
        index: The image's place in it.
        number: Number of the region in the image.
        image: RGB, W x H.
        mask: (H, W), bool, not empty.
        shown: Written beside the region.
    """
    box: list[int] = tight_boxes(mask[None])[0].tolist()
    left, top, right, bottom = box
    alpha = Image.fromarray(mask[top:bottom, left:right].numpy().astype(np.uint8) * 255)
    region = image.convert("RGB").crop((left, top, right, bottom))
    region.putalpha(alpha)
    stream = io.BytesIO()
    region.save(stream, format="png")
    record = {
        "image": source.where(index).encode(errors="backslashreplace").decode(),  # a path need not be UTF-8
        "key": int(source.keys[index]),
        "size": list(image.size),
        "box": box,
        "area": int(mask.sum()),
        **shown._asdict(),
        "score": _rounded(shown.score),
        "margin": _rounded(shown.margin),
    }
    return Sample(
        f"{index:09d}-{number:03d}",
        {"png": stream.getvalue(), "json": json.dumps(record, ensure_ascii=False).encode()},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else round(value, 6)
