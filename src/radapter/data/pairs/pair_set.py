"""Image-text pairs: N images, their M captions, and which of them are positives of each other.

Evaluation iterates over images (`PairSet`), training over pairs (`PairSet.samples`). Images of one target class are
positives of each other's captions; see equivalence.py.
"""

import dataclasses
from collections.abc import Sequence
from typing import final

import torch
from PIL import Image
from torch import Tensor

from radapter.data.images.sequences import Images, JoinedImages
from radapter.data.pairs.equivalence import ClassFigures, class_figures, target_classes
from radapter.data.splits import fingerprint
from radapter.errors import DataError


@final
@dataclasses.dataclass(frozen=True, eq=False)
class PairSet:
    """N images, decoded on access, and their captions.

    Attributes:
        rows: (N,), int64, into `images`.
        keys: (N,), int64, from `content_keys`.
        captions: M texts; every image has at least one.
        image_of_caption: (M,), int64, into the N images.
        groups: (N,), int64, the source's group, or the image itself.
        targets: (N,), int64, the target class; groups that share a caption may be joined.
    """

    name: str
    images: Images
    rows: Tensor
    keys: Tensor
    captions: tuple[str, ...]
    image_of_caption: Tensor
    groups: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        shapes = {tuple(each.shape) for each in (self.rows, self.keys, self.groups, self.targets)}
        if shapes != {(len(self.rows),)}:
            raise ValueError(f"rows, keys, groups and targets must each be (N,). Got {sorted(shapes)}.")
        if len(self) == 0:
            raise DataError(f"data set must hold an image. '{self.name}' holds none.")
        if self.image_of_caption.shape != (len(self.captions),):
            raise ValueError(
                f"image_of_caption must be ({len(self.captions)},), one per caption. Got "
                f"{tuple(self.image_of_caption.shape)}."
            )
        described = torch.unique(self.image_of_caption)
        if not torch.equal(described, torch.arange(len(self))):
            raise DataError(
                f"every image must have a caption, and every caption an image. In '{self.name}' captions refer to "
                f"{len(described)} of {len(self)} images."
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Tensor:
        """(N,), int64: the target classes, under the name that the loaders use."""
        return self.targets

    @property
    def figures(self) -> ClassFigures:
        """Numbers of images, captions, shared captions and classes, and the size of the largest class."""
        return class_figures(self.captions, self.image_of_caption, self.groups, self.targets)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of contents, captions, groups and target classes."""
        return fingerprint(self.keys, self.image_of_caption, self.groups, self.targets, *self.captions)

    def image(self, index: int) -> Image.Image:
        """Decodes the image at `index` to RGB; raises ImageError."""
        return self.images.image(int(self.rows[index]))

    def encoded(self, index: int) -> bytes:
        """An image file of the image at `index`; raises ImageError."""
        return self.images.encoded(int(self.rows[index]))

    def where(self, index: int) -> str:
        """The name in messages of the image at `index`: its path, or its file and row."""
        return self.images.where(int(self.rows[index]))

    def subset(self, indices: Sequence[int] | Tensor, *, name: str | None = None) -> "PairSet":
        """The images at `indices`, (K,) int or bool, in that order; raises DataError if `indices` is empty."""
        chosen = torch.as_tensor(indices)
        chosen = torch.arange(len(self))[chosen if chosen.dtype == torch.bool else chosen.long()]
        captions_of: list[list[int]] = [[] for _ in range(len(self))]
        for caption, image in enumerate(self.image_of_caption.tolist()):
            captions_of[image].append(caption)
        kept = [captions_of[image] for image in chosen.tolist()]
        counts = torch.tensor([len(captions) for captions in kept], dtype=torch.int64)
        return dataclasses.replace(
            self,
            name=self.name if name is None else name,
            rows=self.rows[chosen],
            keys=self.keys[chosen],
            captions=tuple(self.captions[caption] for captions in kept for caption in captions),
            image_of_caption=torch.arange(len(kept)).repeat_interleave(counts),
            groups=self.groups[chosen],
            targets=self.targets[chosen],
        )

    def samples(self) -> "PairSamples":
        """The set pair by pair."""
        return PairSamples(self)


@final
class PairSamples:
    """M training samples: sample m is caption m of the set with its image.

    Attributes:
        image_of_sample: (M,), int64, into the N images.
        targets, labels: (M,), int64, the target class of each pair's image; the loaders use the name `labels`.
        keys, groups: (M,), int64, the content hash and the group of each pair's image.
    """

    def __init__(self, pairs: PairSet) -> None:
        self.pairs, self.name = pairs, pairs.name
        self.image_of_sample = images = pairs.image_of_caption
        self.targets = self.labels = pairs.targets[images]
        self.keys, self.groups = pairs.keys[images], pairs.groups[images]

    def __len__(self) -> int:
        return len(self.pairs.captions)

    @property
    def fingerprint(self) -> str:
        """The set's fingerprint."""
        return self.pairs.fingerprint

    def image(self, index: int) -> Image.Image:
        """Decodes the image of the pair at `index` to RGB; raises ImageError."""
        return self.pairs.image(int(self.image_of_sample[index]))

    def where(self, index: int) -> str:
        """The name in messages of the image of the pair at `index`."""
        return self.pairs.where(int(self.image_of_sample[index]))

    def caption(self, index: int) -> str:
        """The text of the pair at `index`."""
        return self.pairs.captions[index]


def joined(sets: Sequence[PairSet], *, name: str | None = None, join: bool = True) -> PairSet:
    """Concatenates sets; raises DataError if there are none.

    Groups and targets of different sets never get the same number. With `join`, classes that share a caption become
    one class, also across sets. By default the name is the names of the sets, joined with +.
    """
    if not sets:
        raise DataError("a list of data sets must hold one. Got none. Give a source.")
    starts = torch.tensor([0, *(len(each) for each in sets)]).cumsum(0).tolist()
    first_rows = torch.tensor([0, *(len(each.images) for each in sets)]).cumsum(0).tolist()
    captions = tuple(caption for each in sets for caption in each.captions)
    image_of_caption = torch.cat(
        [each.image_of_caption + start for each, start in zip(sets, starts, strict=False)]
    )
    targets = _apart([each.targets for each in sets])
    return PairSet(
        name="+".join(each.name for each in sets) if name is None else name,
        images=JoinedImages([each.images for each in sets]),
        rows=torch.cat([each.rows + start for each, start in zip(sets, first_rows, strict=False)]),
        keys=torch.cat([each.keys for each in sets]),
        captions=captions,
        image_of_caption=image_of_caption,
        groups=_apart([each.groups for each in sets]),
        targets=target_classes(captions, image_of_caption, targets, join=join),
    )


def _apart(ids: Sequence[Tensor]) -> Tensor:
    """Ids renumbered 0, 1, ... in the order of their values, set after set."""
    renumbered, start = [], 0
    for each in ids:
        distinct, numbers = torch.unique(each, return_inverse=True)
        renumbered.append(numbers + start)
        start += len(distinct)
    return torch.cat(renumbered)
