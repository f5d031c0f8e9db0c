"""Captioned images as a source gives them, and the checks of their captions."""

import dataclasses
import logging
from collections.abc import Hashable, Sequence
from typing import Any, final

import torch
from torch import Tensor

from radapter.data.pictures.pictures import Pictures
from radapter.data.wording import some
from radapter.errors import DataError

_log = logging.getLogger(__name__)


@final
@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedPictures:
    """N captioned images, as a source gives them.

    Attributes:
        name: the source's name in messages.
        pictures: N images.
        captions: for each image its captions, as in the source.
        groups: N ids; captions of one group describe the same thing and are positives of all its images. None makes
            every image a group.
        keys: (N,), int64, content hashes, if the source has them; otherwise they are computed.
    """

    name: str
    pictures: Pictures
    captions: Sequence[Sequence[str]]
    groups: Sequence[Hashable] | None = None
    keys: Tensor | None = None


def rows_with_captions(source: CaptionedPictures, *, max_bad: float) -> Tensor:
    """The rows of the images with a caption, (N,), int64; logs what is skipped.

    Raises:
        DataError: more than the fraction `max_bad` of the images lack a caption, or have a blank one.
    """
    filled = [[bool(text.strip()) for text in texts] for texts in source.captions]
    faulty = [row for row, each in enumerate(filled) if not (each and all(each))]
    shown = some([source.pictures.where(row) for row in faulty])
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
    """A caption or a list of captions as a tuple without nulls; raises DataError if the value is something else."""
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise DataError(f"captions must be text or a list of text. {where} has {str(value)[:60]!r}.")
    return tuple(text for text in texts if text is not None)


def group_id(value: object, where: str) -> str | int:
    """A group's id; raises DataError if it is neither text nor a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"a group id must be text or a whole number. {where} has {value!r}. Fill it in.")
    return value
