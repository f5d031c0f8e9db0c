"""The matrix of logits in tiles, and the log-sum-exps of its rows and columns.

Source of the streamed log-sum-exp: Milakov and Gimelshein, 2018 (arXiv 1805.02867).
"""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor


class LogitTiles:
    """The matrix of logits, tile by tile, in two buffers that every tile reuses."""

    def __init__(
        self,
        images: Tensor,
        texts: Tensor,
        image_classes: Tensor,
        text_classes: Tensor,
        scale: Tensor,
        margin: float,
        tile: int,
    ) -> None:
        self.images, self.texts = images, texts
        self.image_classes, self.text_classes = image_classes, text_classes
        self.scale, self.margin, self.tile = scale, margin, tile

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows, columns and their logits, which the next tile overwrites."""
        area = min(self.tile, len(self.images)) * min(self.tile, len(self.texts))
        buffer, self._scratch = self.images.new_empty(area), self.images.new_empty(area)
        for i, j in product(_slices(len(self.images), self.tile), _slices(len(self.texts), self.tile)):
            shape = (i.stop - i.start, j.stop - j.start)
            logits = buffer[: shape[0] * shape[1]].view(shape)
            if self.margin:
                self.same_target(i, j, out=logits)
                logits.addmm_(self.images[i], self.texts[j].T, beta=-self.margin)
            else:
                torch.mm(self.images[i], self.texts[j].T, out=logits)
            yield i, j, logits.mul_(self.scale)

    def same_target(self, rows: slice, columns: slice, *, out: Tensor) -> Tensor:
        """1 where row and column are positives of each other, else 0."""
        return torch.eq(self.image_classes[rows, None], self.text_classes[columns], out=out)

    def scratch(self, like: Tensor) -> Tensor:
        """A buffer of the shape of a tile."""
        return self._scratch[: like.numel()].view(like.shape)


def log_sum_exps(
    images: Tensor,
    texts: Tensor,
    classes: Tensor,
    own: slice,
    scale: Tensor,
    margin: float,
    tile: int,
) -> tuple[Tensor, Tensor]:
    """Over own rows of the matrix: of each row over all columns, and of each column over these rows."""
    images, own_classes = images[own], classes[own]
    tiles = LogitTiles(images, texts, own_classes, classes, scale, margin, tile)
    rows, columns = _RunningLogSumExp(len(images), images), _RunningLogSumExp(len(texts), texts)
    for i, j, logits in tiles:
        rows.add(i, logits, 1, tiles.scratch(logits))
        columns.add(j, logits, 0, tiles.scratch(logits))
    return rows.value(), columns.value()


class _RunningLogSumExp:
    """log sum exp over parts that come one after another: the largest so far, and the sum below it."""

    def __init__(self, size: int, like: Tensor) -> None:
        self.largest = like.new_full((size,), -torch.inf)
        self.total = like.new_zeros(size)

    def add(self, where: slice, logits: Tensor, dim: int, scratch: Tensor) -> None:
        """Takes a tile in, summed over `dim`, into the entries `where`."""
        largest = torch.maximum(self.largest[where], logits.amax(dim))
        part = torch.sub(logits, largest.unsqueeze(dim), out=scratch).exp_().sum(dim)
        self.total[where] = self.total[where] * (self.largest[where] - largest).exp_() + part
        self.largest[where] = largest

    def value(self) -> Tensor:
        return self.largest + self.total.log()


def _slices(size: int, tile: int) -> Iterator[slice]:
    for start in range(0, size, tile):
        yield slice(start, min(start + tile, size))
