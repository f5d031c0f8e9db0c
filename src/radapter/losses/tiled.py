"""MPM-NCE without the B x B matrix: value and gradients of `mpm_nce`, for any batch size and number of processes.

The matrix of logits is computed in tiles. The forward pass keeps one log-sum-exp for each row and column; the
backward pass computes each tile again. With t the logit scale, delta the margin, n_i the size of i's class and T the
smoothed targets,

    Z_ij = t (x_i . y_j - delta [same target])      differs from the paper's by a constant that softmax cancels
    r_i  = LSE_j Z_ij,  c_j = LSE_i Z_ij,  T_ij = a_i [same target] + b_i,  a_i = a_j where [same target]
    loss = 1 / 2B sum_i (r_i + c_i - sum_j (T_ij Z_ij + T_ji Z_ji))
    sum_j T_ij Z_ij = t (x_i . (a_i Y_class(i) + b_i Y_all) - delta n_i (a_i + b_i)),  Y: sums of text features
    dloss / dZ_ij = (exp(Z_ij - r_i) + exp(Z_ij - c_j) - 2 a_i [same target] - b_i - b_j) / 2B

That is four products of B x B x E; the dense form has three, but allocates a new matrix in every step, while the
tiles reuse two buffers.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable

from radapter.errors import ConfigError
from radapter.losses.batch import (
    check_pairs,
    check_settings,
    class_dots,
    full_precision,
    number_classes,
    target_weights,
    wide_dtype,
)
from radapter.losses.loss import Parts, gather_equal, gather_rows

CPU_TILE = 2048  # two of 16 MiB in float32; smaller ones spend their time starting threads
GPU_TILE = 4096  # two of 64 MiB


def mpm_nce_tiled(
    image_features: Tensor,
    text_features: Tensor,
    targets: Tensor,
    logit_scale: Tensor | float,
    *,
    margin: float = 0.05,
    label_smoothing: float = 0.0,
    tile: int | None = None,
    parts: Parts | None = None,
) -> Tensor:
    """`mpm_nce`, exactly, in memory that grows with B instead of B x B, over one process or many.

    With `parts` the batch is what all processes hold together, G rows. Every process calls this with its own rows
    and gets the same value, the loss of the whole batch. The forward pass gathers features, targets and
    log-sum-exps; the backward pass exchanges nothing. On a GPU nothing waits for the device. The order of a GPU's
    additions into a class sum is fixed only in torch's deterministic mode.

    Source: Kim et al., ECCV 2024; the streamed log-sum-exp is Milakov and Gimelshein's (arXiv 1805.02867).

    Args:
        image_features, text_features, targets, logit_scale, margin, label_smoothing: As for `mpm_nce`.
        tile: Rows and columns of a tile; changes time and memory only. None is 2048 on a CPU, else 4096.
        parts: The processes that share the batch, such as `Parts.of(image_features, group)`; None is this one alone.

    Returns:
        Scalar, nats, mean over 2G queries, float32 or wider. Raises as `mpm_nce`, and if `parts` or `tile` is wrong.
    """
    check_pairs(image_features, text_features, targets)
    check_settings(label_smoothing, margin)
    if tile is not None and tile < 1:
        raise ConfigError(f"tile must be None or an int >= 1, got {tile}. None selects it by the device.")
    if parts is not None:
        _check_sizes(parts, len(image_features))
    device = image_features.device
    if not isinstance(logit_scale, Tensor):
        dtype = wide_dtype(image_features, text_features)
        logit_scale = torch.full((), logit_scale, dtype=dtype, device=device)
    options = _Options(margin, label_smoothing, tile or (CPU_TILE if device.type == "cpu" else GPU_TILE))
    loss: Tensor = _TiledMpmNce.apply(
        image_features, text_features, logit_scale.to(device), targets, options, parts
    )
    return loss


class _Options(NamedTuple):
    margin: float
    label_smoothing: float
    tile: int


class _TiledMpmNce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: Tensor,
        targets: Tensor,
        options: _Options,
        parts: Parts | None,
    ) -> Tensor:
        """The loss of the whole batch, on every process."""
        own = slice(None)
        if parts is not None:
            own = parts.own
            image_features, text_features, targets = (
                gather_rows(rows, parts.sizes, parts.group)
                for rows in (image_features, text_features, targets.long())
            )
        margin, label_smoothing, _ = options
        with full_precision(image_features):
            images, texts, scale = _widened(image_features, text_features, logit_scale)
            classes, class_sizes = number_classes(targets, images.dtype)
            tiles = _Tiles(images[own], texts, classes[own], classes, scale, options)
            row_lse, column_lse = _log_sum_exps(tiles)
            if parts is not None:
                row_lse = gather_rows(row_lse, parts.sizes, parts.group)
                # each over the process's own images, (processes, G)
                column_lse = gather_equal(column_lse[None], parts.group).logsumexp(0)
            on_positive, on_negative = target_weights(class_sizes, label_smoothing)
            attraction = (
                (on_positive - on_negative)
                * (class_dots(images, texts, classes) + class_dots(texts, images, classes))
                + on_negative * (images @ texts.sum(0) + texts @ images.sum(0))
                - 2 * margin * on_positive * class_sizes
            )  # sum_j (T_ij Z_ij + T_ji Z_ji) / scale, (G,)
            loss = (row_lse + column_lse - scale * attraction).mean() / 2
        ctx.save_for_backward(
            image_features, text_features, logit_scale, classes, class_sizes, row_lse, column_lse
        )
        ctx.options, ctx.own, ctx.factor = options, own, 1 if parts is None else parts.factor
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of this process's rows and, for the scale, of their share."""
        image_features, text_features, logit_scale, classes, class_sizes, row_lse, column_lse = (
            ctx.saved_tensors
        )
        own, options = ctx.own, ctx.options
        for_images, for_texts, for_scale = ctx.needs_input_grad[:3]
        with full_precision(image_features):
            images, texts, scale = _widened(image_features, text_features, logit_scale)
            on_positive, on_negative = target_weights(class_sizes, options.label_smoothing)
            twice = 2 * (on_positive - on_negative)
            by_image = torch.zeros_like(images[own]) if for_images or for_scale else None
            by_text = torch.zeros_like(texts[own]) if for_texts else None
            on_same = images.new_zeros(())  # sum of dloss / dZ over own rows' positives, times 2 G

            def add(rows: slice, columns: slice, to_images: Tensor | None, to_texts: Tensor | None) -> None:
                tiles = _Tiles(images[rows], texts[columns], classes[rows], classes[columns], scale, options)
                same = on_same if for_scale and options.margin else None
                log_sums = row_lse[rows], column_lse[columns]
                _add_gradients(tiles, *log_sums, twice[rows], to_images, to_texts, same)

            if len(row_lse) == len(images[own]):
                add(own, own, by_image, by_text)
            else:  # own rows of the matrix for the images, own columns for the texts: no gradient is exchanged
                if by_image is not None:
                    add(own, slice(None), by_image, None)
                if by_text is not None:
                    add(slice(None), own, None, by_text)

            scale_gradient = None
            unit = outward.to(images.dtype) * ctx.factor / (2 * len(images))
            if by_image is not None:
                by_image -= on_negative @ texts
                by_image.addcmul_(on_negative[own, None], texts.sum(0), value=-1)
                if for_scale:
                    on_same -= 2 * (on_negative * class_sizes)[own].sum()
                    slope = torch.linalg.vecdot(images[own], by_image).sum() - options.margin * on_same
                    scale_gradient = (slope * unit).to(logit_scale.dtype).reshape(logit_scale.shape)
                by_image = by_image.mul_(scale * unit).to(image_features.dtype) if for_images else None
            if by_text is not None:
                by_text -= on_negative @ images
                by_text.addcmul_(on_negative[own, None], images.sum(0), value=-1)
                by_text = by_text.mul_(scale * unit).to(text_features.dtype)
        return by_image, by_text, scale_gradient, None, None, None


class _Tiles(NamedTuple):
    """The matrix of logits, tile by tile, in two buffers that every tile reuses."""

    images: Tensor
    texts: Tensor
    image_classes: Tensor
    text_classes: Tensor
    scale: Tensor
    options: _Options

    def walk(self) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
        """Rows, columns, their logits and a scratch buffer of that shape; the next tile overwrites both."""
        margin, _, tile = self.options
        area = min(tile, len(self.images)) * min(tile, len(self.texts))
        buffers = self.images.new_empty(area), self.images.new_empty(area)
        for i, j in product(_slices(len(self.images), tile), _slices(len(self.texts), tile)):
            shape = (i.stop - i.start, j.stop - j.start)
            logits, scratch = (buffer[: shape[0] * shape[1]].view(shape) for buffer in buffers)
            if margin:
                self.same_target(i, j, out=logits)
                logits.addmm_(self.images[i], self.texts[j].T, beta=-margin)
            else:
                torch.mm(self.images[i], self.texts[j].T, out=logits)
            yield i, j, logits.mul_(self.scale), scratch

    def same_target(self, rows: slice, columns: slice, *, out: Tensor) -> Tensor:
        """1 where row and column are positives of each other, else 0."""
        return torch.eq(self.image_classes[rows, None], self.text_classes[columns], out=out)


def _log_sum_exps(tiles: _Tiles) -> tuple[Tensor, Tensor]:
    """Of each row over all columns, and of each column over all rows."""
    rows, columns = (_RunningLogSumExp(features) for features in (tiles.images, tiles.texts))
    for i, j, logits, scratch in tiles.walk():
        rows.add(i, logits, 1, scratch)
        columns.add(j, logits, 0, scratch)
    return rows.value(), columns.value()


class _RunningLogSumExp:
    """log sum exp over parts that come one after another: the largest so far, and the sum relative to it."""

    def __init__(self, rows: Tensor) -> None:
        self.largest = rows.new_full((len(rows),), -torch.inf)
        self.total = rows.new_zeros(len(rows))

    def add(self, where: slice, logits: Tensor, dim: int, scratch: Tensor) -> None:
        """Adds a tile, summed over `dim`, to the entries `where`."""
        largest = torch.maximum(self.largest[where], logits.amax(dim))
        part = torch.sub(logits, largest.unsqueeze(dim), out=scratch).exp_().sum(dim)
        self.total[where] = self.total[where] * (self.largest[where] - largest).exp_() + part
        self.largest[where] = largest

    def value(self) -> Tensor:
        return self.largest + self.total.log()


def _add_gradients(
    tiles: _Tiles,
    row_lse: Tensor,
    column_lse: Tensor,
    on_positive: Tensor,
    to_images: Tensor | None,
    to_texts: Tensor | None,
    on_same: Tensor | None,
) -> None:
    """Adds the tiles' share of the gradients, without the b terms and the common factor t / 2B.

    With `to_images` and `on_same`, `on_same` sums the weights of positives, for the margin's share of the scale's
    gradient.
    """
    for i, j, logits, scratch in tiles.walk():
        weight = torch.sub(logits, column_lse[j], out=scratch).exp_()
        weight += logits.sub_(row_lse[i, None]).exp_()
        same = tiles.same_target(i, j, out=logits)
        # Subtracted here and not from the sums: for a trained model the two nearly cancel.
        weight.addcmul_(same, on_positive[i, None], value=-1)
        if to_images is not None:
            to_images[i].addmm_(weight, tiles.texts[j])
            if on_same is not None:
                on_same += torch.dot(weight.view(-1), same.view(-1))
        if to_texts is not None:
            to_texts[j].addmm_(weight.T, tiles.images[i])


def _widened(image_features: Tensor, text_features: Tensor, logit_scale: Tensor) -> Iterator[Tensor]:
    dtype = wide_dtype(image_features, text_features)
    return (tensor.to(dtype) for tensor in (image_features, text_features, logit_scale.reshape(())))


def _slices(size: int, tile: int) -> Iterator[slice]:
    return (slice(start, min(start + tile, size)) for start in range(0, size, tile))


def _check_sizes(parts: Parts, rows: int) -> None:
    processes, rank = dist.get_world_size(parts.group), dist.get_rank(parts.group)
    if len(parts.sizes) != processes or min(parts.sizes) < 1 or parts.sizes[rank] != rows:
        raise ValueError(
            f"sizes must hold the rows, at least 1, of each of {processes} processes, {rows} at rank {rank}. Got "
            f"{list(parts.sizes)}. Use Parts.of, which asks the processes."
        )
