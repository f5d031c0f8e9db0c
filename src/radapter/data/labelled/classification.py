"""A classification data set: pictures, and for each the class it belongs to and the hash of its content."""

import dataclasses
from collections.abc import Sequence
from typing import final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.labelled.labels import refuse_duplicates
from radapter.data.pictures.pictures import ArrayPictures, Pictures
from radapter.data.splits import content_keys, fingerprint
from radapter.errors import DataError


@final
@dataclasses.dataclass(frozen=True, eq=False)
class ClassificationSet:
    """N labelled pictures that are decoded when asked for.

    Attributes:
        name: what tables and messages call it.
        classnames: C names, no two equal; a test set may hold pictures of only some of them.
        labels: (N,), int64, into `classnames`.
        keys: (N,), int64, the first 8 bytes of the SHA-256 of each picture's content; what augmentation,
            dropping and splits depend on, wherever the picture lies.
        pictures: where the pixels come from, M >= N pictures.
        rows: (N,), int64, into `pictures`.
        candidates: (K, S), int64, into `classnames`: the K classes that the set can hold, for a test set of fewer
            classes, each with the up to S training classes that mean it, filled by repeating; evaluation leaves
            the others out of the argmax. None where every class is possible.
        groups: (N,), int64, into `groupnames`, for the accuracy of the worst group; None where there are none.
        groupnames: G names.
        given_names: the source's class names before underscores are replaced and `data.rename` is applied; empty
            where the set was not opened from a source.
        notes: what a user must know of the class names, one sentence each.
    """

    name: str
    classnames: tuple[str, ...]
    labels: Tensor
    keys: Tensor
    pictures: Pictures
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
            raise DataError(f"data set must hold a picture. '{self.name}' holds none.")
        refuse_duplicates(self.classnames, f"the class list of '{self.name}'")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.classnames):
            raise DataError(
                f"labels must lie in [0, {len(self.classnames) - 1}], the class list. '{self.name}' has "
                f"[{low}, {high}]. Correct the labels or the class list."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of contents, labels and class names."""
        return fingerprint(self.keys, self.labels, *self.classnames)

    def image(self, index: int) -> Image.Image:
        """Decodes the picture at `index` to RGB; raises ImageError."""
        return self.pictures.image(int(self.rows[index]))

    def encoded(self, index: int) -> bytes:
        """An image file of the picture at `index`; raises ImageError."""
        return self.pictures.encoded(int(self.rows[index]))

    def where(self, index: int) -> str:
        """What messages call the picture at `index`: its path, or its file and row."""
        return self.pictures.where(int(self.rows[index]))

    def subset(self, indices: Sequence[int] | Tensor, *, name: str | None = None) -> "ClassificationSet":
        """The pictures at `indices`, in that order, with the same class names.

        Args:
            indices: (M,), int or bool.
            name: the new set's name; this one's when None.

        Raises:
            DataError: `indices` is empty.
        """
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
    """A data set of pictures in memory.

    Args:
        name: what tables and messages call it.
        pixels: (N, 3, H, W), uint8.
        labels: (N,), int64, into `classnames`.
        classnames: C names.
        keys: (N,), int64; hashed from the pixels when None.
    """
    pictures = ArrayPictures(pixels, name=name)
    rows = torch.arange(len(pictures))
    keys = content_keys(pictures, rows) if keys is None else keys
    return ClassificationSet(name, tuple(classnames), labels.long(), keys, pictures, rows)
