"""A classification data set: images, each with its class and the hash of its content."""

import dataclasses
from collections.abc import Sequence
from typing import final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.sequences import ArrayImages, Images
from radapter.data.labelled.labels import refuse_duplicates
from radapter.data.splits import content_keys, fingerprint
from radapter.errors import DataError


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ClassificationSet:
    """N labelled images, decoded on access.

    Attributes:
        classnames: C distinct names; a test set may have images of only some of them.
        labels: (N,), int64, into `classnames`.
        keys: (N,), int64, from `content_keys`. Augmentation, dropping and splits depend on them.
        images: M >= N images.
        rows: (N,), int64, into `images`.
        candidates: (K, S), int64, into `classnames`, for a test set of only K classes: for each of them the up to S
            training classes that mean it, filled by repeating. Evaluation excludes all others from the argmax.
        groups: (N,), int64, into `groupnames`, for the accuracy of the worst group, if there are groups.
        groupnames: G names.
        given_names: the source's class names before underscores are replaced and `data.rename` is applied; empty
            if the set was not opened from a source.
        notes: sentences for the user about the class names.
    """

    name: str
    classnames: tuple[str, ...]
    labels: Tensor
    keys: Tensor
    images: Images
    rows: Tensor
    candidates: Tensor | None = None
    groups: Tensor | None = None
    groupnames: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = {tuple(self.labels.shape), tuple(self.keys.shape), tuple(self.rows.shape)}
        if shapes != {(len(self.labels),)}:
            raise ValueError(f"labels, keys and rows must each be (N,). Got {sorted(shapes)}.")
        if len(self) == 0:
            raise DataError(f"data set must hold an image. '{self.name}' holds none.")
        refuse_duplicates(self.classnames, f"the class list of '{self.name}'")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classnames):
            raise DataError(
                f"labels must be in [0, {len(self.classnames) - 1}], the class list. '{self.name}' has "
                f"[{low}, {high}]. Correct the labels or the class list."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of contents, labels and class names."""
        return fingerprint(self.keys, self.labels, *self.classnames)

    def image(self, index: int) -> Image.Image:
        """Decodes the image at `index` to RGB; raises ImageError."""
        return self.images.image(int(self.rows[index]))

    def encoded(self, index: int) -> bytes:
        """An image file of the image at `index`; raises ImageError."""
        return self.images.encoded(int(self.rows[index]))

    def where(self, index: int) -> str:
        """The name in messages of the image at `index`: its path, or its file and row."""
        return self.images.where(int(self.rows[index]))

    def subset(self, indices: Sequence[int] | Tensor, *, name: str | None = None) -> "ClassificationSet":
        """The images at `indices`, (M,) int or bool, in that order; raises DataError if `indices` is empty."""
        chosen = torch.as_tensor(indices)
        if chosen.dtype != torch.bool:
            chosen = chosen.long()
        return dataclasses.replace(
            self,
            name=self.name if name is None else name,
            labels=self.labels[chosen],
            keys=self.keys[chosen],
            rows=self.rows[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )


def array_set(
    name: str, pixels: Tensor, labels: Tensor, classnames: Sequence[str], *, keys: Tensor | None = None
) -> ClassificationSet:
    """A data set in memory: pixels (N, 3, H, W) uint8, labels and keys (N,) int64; keys default to hashes."""
    images = ArrayImages(pixels, name=name)
    rows = torch.arange(len(images))
    keys = content_keys(images, rows, known=keys)
    return ClassificationSet(name, tuple(classnames), labels.long(), keys, images, rows)
