"""The regions of masked images in batches, ready for an image tower: the evaluation set of a segmenter.

Proposals and crops do not depend on the model, so both are made once. Crops are kept if the memory budget allows,
otherwise proposals, as bits. Each image also has its true regions, one per class, whose scores show the errors of
the classifier alone.
"""

from collections.abc import Iterator
from typing import NamedTuple, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.data import IGNORE, MAX_BAD, BadImages, Memory, PairedMaskDataset
from radapter.data.loading import meet
from radapter.data.memory import Lease
from radapter.errors import DataError, ImageError
from radapter.processes import ALONE, Processes
from radapter.segmentation.crops import Crop, RegionCrops, pixels_of
from radapter.segmentation.pixels import Cells, label_regions, placed_cells
from radapter.segmentation.proposals import MaskProposer

DRAWN = 4
"""Images of a set, spread evenly over it, whose label maps a report draws."""
_SIDE = 160  # pixels of a drawn map's longer side, at most


class TrueRegions(NamedTuple):
    """The T classes that an image shows."""

    classes: Tensor  # (T,), int64
    pixels: Tensor  # (T,), int64, their number


class SeenImage(NamedTuple):
    """One image without its crops."""

    number: int  # its index in the data set
    cells: Cells  # of its Q proposals
    true: TrueRegions
    shares: Tensor  # (Q, C), float32, of each class in a proposal's pixels; the rest has no class
    places: Tensor | None = (
        None  # (h, w), int32, the cell of each pixel of a small map, -1 for none; of few images
    )


class RegionBatch(NamedTuple):
    """The R regions of some images: for each image its proposals, then its true regions."""

    pixels: Tensor  # (R, 3, S, S), float
    valid: Tensor  # (R,), bool, whether a region has a pixel
    images: tuple[SeenImage, ...]

    def of_images(self) -> Iterator[tuple[SeenImage, slice, slice]]:
        """Each image with the rows of its proposals and of its true regions."""
        start = 0
        for image in self.images:
            middle = start + image.cells.shares.shape[1]
            end = middle + len(image.true.classes)
            yield image, slice(start, middle), slice(middle, end)
            start = end


@final
class RegionLoader:
    """Masked images in order, as batches of their regions, which `proposer` finds and `crop` cuts out; replayed if
    memory allows.

    Args:
        batch_size: Regions that fill a batch; the regions of an image stay together.
        max_bad: Fraction of the set that may be unreadable.
        memory: Shared budget; None keeps nothing.
        processes: Each takes a whole pass over its range of the images, in order of rank.
    """

    def __init__(
        self,
        dataset: PairedMaskDataset,
        proposer: MaskProposer,
        crop: Crop,
        *,
        batch_size: int,
        max_bad: float = MAX_BAD,
        memory: Memory | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.dataset = dataset
        self.bad = BadImages(dataset.name, len(dataset), max_bad=max_bad)
        self._proposer, self._crop, self._batch_size = proposer, crop, batch_size
        self._processes = processes
        self._batches_lease, self._bits_lease = Lease(memory), Lease(memory)
        self._kept: list[RegionBatch] | None = None
        self._bits: dict[int, tuple[np.ndarray, tuple[int, ...]]] = {}
        self._drawn = {len(dataset) * part // DRAWN for part in range(DRAWN)}

    def __iter__(self) -> Iterator[RegionBatch]:
        """One pass. Raises DataError if too many images are unreadable, or all of them."""
        failure: Exception | None = None
        try:
            yield from self._kept if self._kept is not None else self._fresh()
        except Exception as error:
            if self._processes.size == 1:
                raise
            failure = error  # other processes are still working: `meet` raises it in all
        meet(self.bad, failure, self._processes)
        if len(self.bad) == len(self.dataset):
            raise DataError(f"data set must hold a readable image. '{self.dataset.name}' holds none.")

    def _fresh(self) -> Iterator[RegionBatch]:
        kept: list[RegionBatch] | None = []
        for batch in self._made():
            if kept is not None and self._batches_lease.take(batch.pixels.nbytes):
                kept.append(batch)
            else:
                kept = None
                self._batches_lease.release()
            yield batch
        self._kept = kept
        if kept is not None:
            self._bits.clear()
            self._bits_lease.release()

    def _made(self) -> Iterator[RegionBatch]:
        seen: list[tuple[RegionCrops, SeenImage]] = []
        for index in self._processes.share(len(self.dataset)):
            try:
                image, labels, _ = self.dataset[index]
            except ImageError as error:
                self.bad.add(index, error)
                continue
            seen.append(self._seen(index, image, labels))
            if sum(len(crops.pixels) for crops, _ in seen) >= self._batch_size:
                yield _joined(seen)
                seen = []
        if seen:
            yield _joined(seen)

    def _seen(self, index: int, image: Image, labels: Tensor) -> tuple[RegionCrops, SeenImage]:
        masks = self._proposals(index, image)
        true_masks, classes = label_regions(labels, ignored=(IGNORE,))
        found = self._crop(pixels_of(image), torch.cat([masks, true_masks.to(masks.dtype)]))
        true = TrueRegions(classes, true_masks.flatten(1).sum(1))
        shares = _shares(masks, labels, len(self.dataset.classnames))
        cells, places = placed_cells(masks, labels)
        small = _small(places).int() if index in self._drawn else None
        return found, SeenImage(index, cells, true, shares, small)

    def _proposals(self, index: int, image: Image) -> Tensor:
        if index in self._bits:
            bits, shape = self._bits[index]
            flat = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool)
            return torch.from_numpy(flat.reshape(shape))
        masks = self._proposer(image).masks
        hard = masks.bool()
        if not torch.equal(hard.to(masks.dtype), masks):
            return masks.float()
        bits = np.packbits(hard.numpy())
        if self._bits_lease.take(bits.nbytes):
            self._bits[index] = bits, tuple(hard.shape)
        return hard


def _joined(seen: list[tuple[RegionCrops, SeenImage]]) -> RegionBatch:
    crops, images = zip(*seen, strict=True)
    pixels, valid = (torch.cat([getattr(each, name) for each in crops]) for name in ("pixels", "valid"))
    return RegionBatch(pixels, valid, images)


def _small(values: Tensor) -> Tensor:
    """Every n-th row and column of a map, so that its longer side has at most `_SIDE`."""
    step = -(-max(values.shape) // _SIDE)
    return values[::step, ::step].contiguous()


def _shares(masks: Tensor, labels: Tensor, classes: int) -> Tensor:
    place = torch.where(labels < 0, classes, labels).flatten()
    counts = torch.zeros(len(masks), classes + 1).index_add_(1, place, masks.flatten(1).float())
    return (counts / counts.sum(1, keepdim=True).clamp(min=1e-6))[:, :classes]
