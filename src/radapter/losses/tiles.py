"""The matrix of logits in tiles, and the log-sum-exps of its rows and columns.

The compiled forms say a tile's arithmetic without buffers: torch.compile makes one kernel of what lies between two
matrix products, so that a tile travels to memory and back twice and not a dozen times.

Source of the streamed log-sum-exp: Milakov and Gimelshein, 2018 (arXiv 1805.02867).
"""

from collections.abc import Callable, Iterator
from functools import cache
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
        for i, j in self.places():
            shape = (i.stop - i.start, j.stop - j.start)
            logits = buffer[: shape[0] * shape[1]].view(shape)
            if self.margin:
                self.same_target(i, j, out=logits)
                logits.addmm_(self.images[i], self.texts[j].T, beta=-self.margin)
            else:
                torch.mm(self.images[i], self.texts[j].T, out=logits)
            yield i, j, logits.mul_(self.scale)

    def places(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile."""
        return product(_slices(len(self.images), self.tile), _slices(len(self.texts), self.tile))

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
    compiled: bool,
) -> tuple[Tensor, Tensor]:
    """Over own rows of the matrix: of each row over all columns, and of each column over these rows."""
    images, own_classes = images[own], classes[own]
    tiles = LogitTiles(images, texts, own_classes, classes, scale, margin, tile)
    if compiled:
        of_rows, of_columns = (like.new_full((len(like),), -torch.inf) for like in (images, texts))
        for i, j in tiles.places():
            of_row, of_column = compiled_log_sum_exps()(
                images[i], texts[j], own_classes[i], classes[j], scale, margin
            )
            of_rows[i] = torch.logaddexp(of_rows[i], of_row)
            of_columns[j] = torch.logaddexp(of_columns[j], of_column)
        return of_rows, of_columns
    rows, columns = _RunningLogSumExp(len(images), images), _RunningLogSumExp(len(texts), texts)
    for i, j, logits in tiles:
        rows.add(i, logits, 1, tiles.scratch(logits))
        columns.add(j, logits, 0, tiles.scratch(logits))
    return rows.value(), columns.value()


def _tile_log_sum_exps(
    images: Tensor, texts: Tensor, image_classes: Tensor, text_classes: Tensor, scale: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Of one tile: of its rows, and of its columns."""
    logits, _ = _logits(images, texts, image_classes, text_classes, scale, margin)
    return logits.logsumexp(1), logits.logsumexp(0)


def _tile_gradients(
    images: Tensor,
    texts: Tensor,
    image_classes: Tensor,
    text_classes: Tensor,
    scale: Tensor,
    margin: float,
    row_lse: Tensor,
    column_lse: Tensor,
    on_positive: Tensor,
    for_images: bool,
    for_texts: bool,
    for_same: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """What one tile adds to the gradients of images and texts, and to the sum of the weights of positives; None for
    what is not asked."""
    logits, same = _logits(images, texts, image_classes, text_classes, scale, margin)
    weight = (logits - column_lse).exp() + (logits - row_lse[:, None]).exp() - same * on_positive[:, None]
    return (
        weight @ texts if for_images else None,
        weight.T @ images if for_texts else None,
        (weight * same).sum() if for_same else None,
    )


@cache
def compiled_log_sum_exps() -> Callable[..., tuple[Tensor, Tensor]]:
    """Compiled at the first call of a shape; made here since torch.compile takes a second to import."""
    return torch.compile(_tile_log_sum_exps)


@cache
def compiled_gradients() -> Callable[..., tuple[Tensor | None, Tensor | None, Tensor | None]]:
    """Likewise."""
    return torch.compile(_tile_gradients)


def _logits(
    images: Tensor, texts: Tensor, image_classes: Tensor, text_classes: Tensor, scale: Tensor, margin: float
) -> tuple[Tensor, Tensor]:
    """Of one tile, and where its pairs are positives of each other, 1, else 0."""
    same = (image_classes[:, None] == text_classes).to(images.dtype)
    return scale * (images @ texts.T - margin * same), same


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
