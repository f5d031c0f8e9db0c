"""MPM-NCE without the B x B matrix: the value and the gradients of `mpm_nce`, at any batch size, on any number
of processes.

The matrix of logits is walked in tiles. The forward pass keeps one log-sum-exp for each row and column; the
backward pass makes each tile again. With t the logit scale, delta the margin, n_i the size of i's class and T the
smoothed targets,

    Z_ij = t (x_i . y_j - delta [same target])      a constant away from the paper's: softmax does not see it
    r_i  = LSE_j Z_ij,  c_j = LSE_i Z_ij,  T_ij = a_i [same target] + b_i,  a_i = a_j where [same target]
    loss = 1 / 2B sum_i (r_i + c_i - sum_j (T_ij Z_ij + T_ji Z_ji))
    sum_j T_ij Z_ij = t (x_i . (a_i Y_class(i) + b_i Y_all) - delta n_i (a_i + b_i)),  Y: sums of text features
    dloss / dZ_ij = (exp(Z_ij - r_i) + exp(Z_ij - c_j) - 2 a_i [same target] - b_i - b_j) / 2B

That is four products of B x B x E against the dense form's three; the tiles win the fourth back by working in two
buffers throughout, where the dense form makes and fills a new matrix for every step.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable

from radapter.errors import ConfigError
from radapter.losses.batch import (
    check_features,
    check_label_smoothing,
    check_margin,
    check_targets,
    class_dots,
    full_precision,
    number_classes,
    target_weights,
    wide_dtype,
)
from radapter.losses.gather import exchange_batch_sizes, gather_equal, gather_rows
from radapter.losses.tiles import LogitTiles, log_sum_exps

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
    process_group: dist.ProcessGroup | None = None,
    batch_sizes: Sequence[int] | None = None,
    gradient_reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """`mpm_nce`, exactly, in memory that grows with B and not with B x B, over one process or many.

    With a `process_group` the batch is what all its processes hold together, G rows: every process calls this,
    with rows of its own, and gets the same value, the loss of the whole batch. Features, targets and
    log-sum-exps are gathered on the way forward; the backward pass exchanges nothing.

    DistributedDataParallel averages the gradients of its processes where their sum is meant, so the gradients
    here are multiplied by the number of processes; `gradient_reduction="sum"` leaves that out.

    On a GPU nothing waits for the device, except, once, the exchange of batch sizes: give `batch_sizes` to spare
    it. The order of a GPU's additions into a class sum is not fixed unless torch's deterministic mode is on.

    Args:
        image_features: unit norm, (B, E), float; computed in float32 or wider, also under autocast.
        text_features: unit norm, (B, E), float.
        targets: (B,), int; equal values are positives of each other, whichever process holds them.
        logit_scale: scalar > 0, already exponentiated (CLIP: about 100); the same on every process.
        margin: delta >= 0, added to the cosine of negatives; 0 gives plain multi-positive NCE.
        label_smoothing: eps in [0, 1), the target's mass on negatives.
        tile: rows and columns of a tile, which need not divide the batch; None is 2048 on a CPU, else 4096.
            Changes time and memory alone.
        process_group: who holds the batch, e.g. `torch.distributed.group.WORLD`; None is this process alone,
            whatever has been initialised. A part may have any number of rows from 1.
        batch_sizes: rows of each process, by rank; None asks the others.
        gradient_reduction: what becomes of the processes' gradients: "mean" (DDP, FSDP) or "sum".

    Returns:
        Scalar, nats, mean over 2G queries, float32 or wider.

    Raises:
        ValueError: shapes differ, targets is not (B,) of integers, or batch_sizes does not fit.
        ConfigError: margin, label_smoothing, tile or gradient_reduction is out of range.

    Source: Kim et al., ECCV 2024; the streamed log-sum-exp is Milakov and Gimelshein's (arXiv 1805.02867).
    """
    check_features(image_features, text_features)
    check_targets(targets, len(image_features))
    check_label_smoothing(label_smoothing)
    check_margin(margin)
    if tile is not None and tile < 1:
        raise ConfigError(f"tile must be None or an int >= 1. Got {tile}. None chooses by the device.")
    if gradient_reduction not in ("mean", "sum"):
        raise ConfigError(
            f"gradient_reduction must be 'mean' or 'sum'. Got {gradient_reduction!r}. DDP takes the mean."
        )
    device = image_features.device
    sizes = _sizes(len(image_features), device, process_group, batch_sizes)
    if not isinstance(logit_scale, Tensor):
        dtype = wide_dtype(image_features, text_features)
        logit_scale = torch.full((), logit_scale, dtype=dtype, device=device)
    loss: Tensor = _TiledMpmNce.apply(
        image_features,
        text_features,
        logit_scale.to(device),
        targets,
        margin,
        label_smoothing,
        tile or (CPU_TILE if device.type == "cpu" else GPU_TILE),
        process_group,
        sizes,
        len(sizes) if gradient_reduction == "mean" else 1,
    )
    return loss


class _TiledMpmNce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        image_features: Tensor,
        text_features: Tensor,
        logit_scale: Tensor,
        targets: Tensor,
        margin: float,
        label_smoothing: float,
        tile: int,
        group: dist.ProcessGroup | None,
        sizes: tuple[int, ...],
        factor: int,
    ) -> Tensor:
        """The loss of the whole batch, on every process."""
        own = slice(None)
        if group is not None:
            first = sum(sizes[: dist.get_rank(group)])
            own = slice(first, first + len(image_features))
            image_features = gather_rows(image_features, sizes, group)
            text_features = gather_rows(text_features, sizes, group)
            targets = gather_rows(targets.long(), sizes, group)
        with full_precision(image_features):
            dtype = wide_dtype(image_features, text_features)
            images, texts, scale = (
                tensor.to(dtype) for tensor in (image_features, text_features, logit_scale.reshape(()))
            )
            classes, class_sizes = number_classes(targets, dtype)
            row_lse, column_lse = log_sum_exps(images, texts, classes, own, scale, margin, tile)
            if group is not None:
                row_lse = gather_rows(row_lse, sizes, group)
                parts = gather_equal(column_lse[None], group)  # each over its own images, (processes, G)
                column_lse = parts.logsumexp(0)
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
        ctx.options = (own, margin, label_smoothing, tile, factor)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of this process's rows and, for the scale, of their share."""
        image_features, text_features, logit_scale, classes, class_sizes, row_lse, column_lse = (
            ctx.saved_tensors
        )
        own, margin, label_smoothing, tile, factor = ctx.options
        for_images, for_texts, for_scale = ctx.needs_input_grad[:3]
        with full_precision(image_features):
            dtype = wide_dtype(image_features, text_features)
            images, texts, scale = (
                tensor.to(dtype) for tensor in (image_features, text_features, logit_scale.reshape(()))
            )
            on_positive, on_negative = target_weights(class_sizes, label_smoothing)
            twice = 2 * (on_positive - on_negative)
            by_image = torch.zeros_like(images[own]) if for_images or for_scale else None
            by_text = torch.zeros_like(texts[own]) if for_texts else None
            on_same = images.new_zeros(())  # sum of dloss / dZ over own rows' positives, times 2 G

            def walk(rows: slice, columns: slice, to_images: Tensor | None, to_texts: Tensor | None) -> None:
                _add_gradients(
                    LogitTiles(
                        images[rows], texts[columns], classes[rows], classes[columns], scale, margin, tile
                    ),
                    row_lse[rows],
                    column_lse[columns],
                    twice[rows],
                    to_images,
                    to_texts,
                    on_same if for_scale and margin else None,
                )

            if len(row_lse) == len(images[own]):
                walk(own, own, by_image, by_text)
            else:  # own rows of the matrix for the images, own columns for the texts: no gradient travels
                if by_image is not None:
                    walk(own, slice(None), by_image, None)
                if by_text is not None:
                    walk(slice(None), own, None, by_text)

            scale_gradient = None
            unit = outward.to(dtype) * factor / (2 * len(images))
            if by_image is not None:
                by_image -= on_negative @ texts
                by_image.addcmul_(on_negative[own, None], texts.sum(0), value=-1)
                if for_scale:
                    on_same -= 2 * (on_negative * class_sizes)[own].sum()
                    slope = torch.linalg.vecdot(images[own], by_image).sum() - margin * on_same
                    scale_gradient = (slope * unit).to(logit_scale.dtype).reshape(logit_scale.shape)
                by_image = by_image.mul_(scale * unit).to(image_features.dtype) if for_images else None
            if by_text is not None:
                by_text -= on_negative @ images
                by_text.addcmul_(on_negative[own, None], images.sum(0), value=-1)
                by_text = by_text.mul_(scale * unit).to(text_features.dtype)
        return by_image, by_text, scale_gradient, *[None] * 7


def _add_gradients(
    tiles: LogitTiles,
    row_lse: Tensor,
    column_lse: Tensor,
    on_positive: Tensor,
    to_images: Tensor | None,
    to_texts: Tensor | None,
    on_same: Tensor | None,
) -> None:
    """Adds what the tiles give to the gradients, without the b terms and the common factor t / 2B.

    With `to_images` and `on_same`, the weights of positives add up in `on_same` (for the margin's share of the
    scale's gradient).
    """
    for i, j, logits in tiles:
        weight = torch.sub(logits, column_lse[j], out=tiles.scratch(logits)).exp_()
        weight += logits.sub_(row_lse[i, None]).exp_()
        same = tiles.same_target(i, j, out=logits)
        # Taken off here and not from the sums: for a trained model the two nearly cancel.
        weight.addcmul_(same, on_positive[i, None], value=-1)
        if to_images is not None:
            to_images[i].addmm_(weight, tiles.texts[j])
            if on_same is not None:
                on_same += torch.dot(weight.view(-1), same.view(-1))
        if to_texts is not None:
            to_texts[j].addmm_(weight.T, tiles.images[i])


def _sizes(
    rows: int,
    device: torch.device,
    group: dist.ProcessGroup | None,
    batch_sizes: Sequence[int] | None,
) -> tuple[int, ...]:
    """The rows of each process; raises where `batch_sizes` contradicts this one's."""
    if batch_sizes is None:
        return (rows,) if group is None else exchange_batch_sizes(rows, device, group)
    processes, rank = (1, 0) if group is None else (dist.get_world_size(group), dist.get_rank(group))
    if len(batch_sizes) != processes or min(batch_sizes) < 1 or batch_sizes[rank] != rows:
        raise ValueError(
            f"batch_sizes must hold the rows, at least 1, of each of {processes} processes, {rows} at rank {rank}. "
            f"Got {list(batch_sizes)}. Leave it out to let the processes exchange them."
        )
    return tuple(batch_sizes)
