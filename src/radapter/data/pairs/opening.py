"""Opening a set of image-text pairs from its source."""

import logging
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from radapter.data.images.corruptions import corrupted_images, greyed
from radapter.data.pairs.equivalence import LARGEST, target_classes, warn_if_large
from radapter.data.pairs.kinds import pair_source
from radapter.data.pairs.pair_set import PairSet
from radapter.data.pairs.paraphrase import paraphrase
from radapter.data.pairs.source import CaptionedImages, PairSource
from radapter.data.source import DEFAULT, Reading, Spec
from radapter.data.splits import content_keys, in_part, refuse_unreadable
from radapter.data.wording import some
from radapter.errors import DataError

_log = logging.getLogger(__name__)


def open_pairs(
    spec: Spec,
    *,
    name: str | None = None,
    reading: Reading = DEFAULT,
    join: bool = True,
    largest: int = LARGEST,
) -> PairSet:
    """Opens a set of image-text pairs; images are decoded later, one at a time.

    Args:
        spec: a path, a mapping as in run.yaml, or one of the kinds in `radapter.data.pairs.kinds`.
        name: the set's name in tables; None takes the source's.
        reading: limits of images, whether downloads are allowed, and a callback for progress while hashing. Its
            max_bad also limits images that lack a caption; both are skipped.
        join: whether groups that share a caption form one target class; see equivalence.py.
        largest: images in one class above which joining causes a warning.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range.
        DataError: the data are missing, empty or too corrupt, or too many captions are missing.
    """
    source = pair_source(spec)
    found = source.read(reading)
    name = found.name if name is None else name
    rows = _rows_with_captions(found, max_bad=reading.max_bad)
    keys = content_keys(found.images, rows, known=found.keys, progress=reading.progress)
    refuse_unreadable(found.images, rows, keys, name=name, max_bad=reading.max_bad)
    if source.part is not None:
        chosen = in_part(keys, *source.part, split_seed=source.split_seed)
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(rows)} in '{name}' none is left after part."
            )
        rows, keys = rows[chosen], keys[chosen]
    images = greyed(found.images) if source.grayscale else found.images
    if source.corrupt is not None:
        images = corrupted_images(images, rows, keys, **source.corrupt)
    captions, image_of_caption = _captions(found, rows, source)
    groups = _numbers(found.groups, rows)
    targets = target_classes(captions, image_of_caption, groups, join=join)
    opened = PairSet(name, images, rows, keys, captions, image_of_caption, groups, targets)
    figures = opened.figures
    _log.info(
        "%s: %d images, %d captions, %d shared by several groups, %d target classes, the largest of %d images",
        name,
        *figures,
    )
    if join:
        warn_if_large(figures, name, limit=largest)
    return opened


def _captions(found: CaptionedImages, rows: Tensor, source: PairSource) -> tuple[tuple[str, ...], Tensor]:
    """The captions of the chosen images, and the image of each."""
    worded = paraphrase if source.paraphrase else str.strip
    kept = [
        [worded(text) for text in found.captions[row] if text.strip()][: source.captions_per_image]
        for row in rows.tolist()
    ]
    lengths = torch.tensor([len(of) for of in kept], dtype=torch.int64)
    return tuple(text for of in kept for text in of), torch.arange(len(kept)).repeat_interleave(lengths)


def _numbers(groups: Sequence[Hashable] | None, rows: Tensor) -> Tensor:
    """The group of each row, numbered in the order of first occurrence."""
    if groups is None:
        return torch.arange(len(rows))
    number: dict[Hashable, int] = {}
    numbers = [number.setdefault(groups[row], len(number)) for row in rows.tolist()]
    return torch.tensor(numbers, dtype=torch.int64)


def _rows_with_captions(source: CaptionedImages, *, max_bad: float) -> Tensor:
    """The rows of the images with a caption, (N,), int64; logs those without, or raises DataError for too many."""
    filled = [[bool(text.strip()) for text in texts] for texts in source.captions]
    faulty = [row for row, each in enumerate(filled) if not (each and all(each))]
    shown = some([source.images.where(row) for row in faulty])
    if len(faulty) > max_bad * len(filled):
        raise DataError(
            f"at most {max_bad:.2%} of the images may lack a caption or have a blank one (data.max_bad). In "
            f"'{source.name}' {len(faulty)} of {len(filled)} do: {shown}. Fill them in, remove them, or raise "
            "data.max_bad."
        )
    if faulty:
        _log.warning(
            "%s: skipped missing and blank captions of %d images: %s", source.name, len(faulty), shown
        )
    return torch.tensor([row for row, each in enumerate(filled) if any(each)], dtype=torch.int64)
