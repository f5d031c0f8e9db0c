"""Regions into tar shards; the format stands in radapter/data/regions.py.

An image gives what it gives whatever was done before it, so that a call that was stopped and continued writes the
same bytes as one that was not.
"""

import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from radapter.data import BadImages
from radapter.data.regions import NOUNS
from radapter.data.shards import SIZES, Sample, Shards, write_shards
from radapter.data.splits import Progress, fingerprint
from radapter.errors import DataError, ImageError
from radapter.manifests import record
from radapter.segmentation.crops import tight_boxes
from radapter.storage import write_json

SHARD_SIZE = 32 * 10**6
"""Bytes of a shard: what an interruption loses is at most the work for one."""


class Source(Protocol):
    """N images: a `PairSet` or a `PairedMaskDataset`."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def keys(self) -> Tensor:
        """(N,), int64, content hashes."""

    def __len__(self) -> int: ...

    def where(self, index: int) -> str:
        """What messages call an image."""


def write_regions(
    source: Source,
    of_image: Callable[[int], Iterable[Sample]],
    nouns: Sequence[str],
    folder: Path,
    *,
    nothing: Callable[[], DataError],
    about: Mapping[str, Any],
    shard_size: int,
    max_bad: float,
    progress: Progress | None,
) -> Shards:
    """Shards and nouns.json.

    Args:
        source: N images.
        of_image: the regions of an image; raises ImageError where it cannot be read.
        nouns: the vocabulary.
        folder: new, or one that the same call began.
        nothing: what is raised where no image gives a region; the folder is as it was then.
        about: what decides the regions besides the images, as JSON.
        shard_size: bytes after which a shard ends.
        max_bad: fraction of the images that may be unreadable; they are reported and left out.
        progress: told (images done, all).

    Raises:
        DataError: no region, or too many unreadable images.
        RunError: the folder holds something else.
    """
    bad = BadImages(source.name, len(source), max_bad=max_bad)
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

    about = {**about, "fingerprint": fingerprint(source.keys, *nouns)}
    try:
        written = write_shards(
            folder, items, len(source), about=about, shard_size=shard_size, progress=progress
        )
    except DataError as error:
        if given or not finished:
            raise
        raise nothing() from error
    write_json(folder / NOUNS, {"nouns": list(nouns)})
    record(folder, SIZES, NOUNS)
    return written


def region_sample(
    source: Source,
    index: int,
    number: int,
    image: Image.Image,
    mask: Tensor,
    *,
    noun: str,
    noun_id: int,
    caption: str | None = None,
    score: float | None = None,
    margin: float | None = None,
) -> Sample:
    """One region as the shards hold it.

    Args:
        source: of the image.
        index: the image's place in it.
        number: of the region in the image.
        image: RGB, W x H.
        mask: (H, W), bool, not empty.
        noun: what it shows.
        noun_id: the noun's place in the vocabulary.
        caption: that names it.
        score: cosine of region and noun.
        margin: lead over the second; infinite where there is none.
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
        "noun": noun,
        "noun_id": noun_id,
        "caption": caption,
        "score": _rounded(score),
        "margin": _rounded(margin),
    }
    return Sample(
        f"{index:09d}-{number:03d}",
        {"png": stream.getvalue(), "json": json.dumps(record, ensure_ascii=False).encode()},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else round(value, 6)
