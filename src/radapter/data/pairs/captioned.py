"""What a source of captioned pictures hands over, and how rows of (image, caption) become it."""

import dataclasses
import logging
from collections.abc import Hashable, Sequence
from pathlib import PurePath
from typing import Any, final

import torch
from torch import Tensor

from radapter.data.pictures.pictures import Pictures
from radapter.errors import DataError

_log = logging.getLogger(__name__)


@final
@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedPictures:
    """What a reader of image-text pairs hands over.

    Attributes:
        name: what messages call it.
        pictures: N pictures.
        captions: for each picture its captions, as the source has them.
        groups: N ids; captions of one group describe one thing, so that they are positives of each other's
            pictures. None makes every picture a group of its own.
        keys: (N,), int64, where the source knows its content hashes; None where they must be computed.
    """

    name: str
    pictures: Pictures
    captions: Sequence[Sequence[str]]
    groups: Sequence[Hashable] | None = None
    keys: Tensor | None = None


@final
@dataclasses.dataclass(frozen=True)
class Gathered:
    """Rows of (image, caption), brought together by image.

    Attributes:
        images: N names that differ, in the order in which they first occur.
        captions: the captions of each, in the order of the rows.
        groups: the group of each; None where the rows have none.
    """

    images: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    groups: tuple[Hashable, ...] | None


def gathered(
    images: Sequence[str],
    captions: Sequence[Sequence[str]],
    groups: Sequence[Hashable] | None = None,
    *,
    origin: str,
) -> Gathered:
    """Brings rows of one image together.

    Args:
        images: one a row; paths that differ in `.` and repeated slashes are one.
        captions: those of each row.
        groups: the group of each row; None makes none.
        origin: what messages call the rows.

    Raises:
        DataError: an image stands in two groups.
    """
    found: dict[str, list[str]] = {}
    group_of: dict[str, Hashable] = {}
    for row, (written, texts) in enumerate(zip(images, captions, strict=True)):
        # ./a.jpg is a.jpg; normpath would go on to link/../a.jpg, which is another file where link is one
        image = str(PurePath(written))
        found.setdefault(image, []).extend(texts)
        if groups is not None and group_of.setdefault(image, groups[row]) != groups[row]:
            raise DataError(
                f"an image must have one group. In '{origin}' '{image}' has {group_of[image]!r} and "
                f"{groups[row]!r}. Correct the group column, or leave group out: the image is the group then."
            )
    return Gathered(
        tuple(found),
        tuple(tuple(texts) for texts in found.values()),
        None if groups is None else tuple(group_of[image] for image in found),
    )


def rows_with_captions(source: CaptionedPictures, *, max_bad: float) -> Tensor:
    """Returns the images that have a caption, as rows of the source, (N,), int64; logs what is skipped.

    Args:
        source: all of a set.
        max_bad: the largest fraction of images that may lack a caption, or have a blank one.

    Raises:
        DataError: more images do.
    """
    filled = [[bool(text.strip()) for text in texts] for texts in source.captions]
    faulty = [row for row, each in enumerate(filled) if not (each and all(each))]
    shown = ", ".join(source.pictures.where(row) for row in faulty[:3]) + (" ..." if faulty[3:] else "")
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


def texts_of(value: object, where: str) -> tuple[str, ...]:
    """One caption, or a list of them, as a tuple; null is no caption.

    Args:
        value: what stands for the captions.
        where: what messages call the place.

    Raises:
        DataError: it is neither text nor a list of text.
    """
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise DataError(f"captions must be text or a list of text. {where} has {str(value)[:60]!r}.")
    return tuple(text for text in texts if text is not None)


def group_id(value: object, where: str) -> str | int:
    """A group's id.

    Raises:
        DataError: it is neither text nor a whole number.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"a group id must be text or a whole number. {where} has {value!r}. Fill it in.")
    return value
