"""Gradient caching: the exact step of a large batch in the memory of a small one.

A contrastive loss needs the features of the whole batch, but not their graph. So the batch is encoded chunk by chunk
without one, the loss of all features gives their gradients, and each chunk is encoded again with a graph, which
receives those gradients:

    dL/dw = sum_k (dL/dx_k) (dx_k/dw),  x_k the features of chunk k

The second encoding must equal the first. Images are augmented before they come here, and the coins of adapter
dropping are a hash of the step and the sample's key (`adapter.coins`), so both encodings drop the same samples.

Source: Gao et al., "Scaling deep contrastive learning batch size under memory limited setup", RepL4NLP 2021.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor

from radapter.adapter import coins, use_coins
from radapter.methods import LabelledPairs, Learner, learns


class Tower(NamedTuple):
    """An encoder and its inputs, tensors of B rows each; equal rows must be encoded to equal features.

    `is_trained=False` saves the second encoding.
    """

    encode: Callable[..., Tensor]
    inputs: Sequence[Tensor]
    is_trained: bool = True


def backward_in_chunks(
    loss: Callable[..., Tensor],
    *towers: Tower,
    chunk_size: int,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> Tensor:
    """Accumulates the gradients of one batch's loss, as one backward pass would, and returns the loss, detached.

        images, texts = Tower(encode_image, [pixels]), Tower(encode_text, [tokens])
        backward_in_chunks(lambda x, y: clip_loss(x, y, logit_scale), images, texts, chunk_size=64)

    `loss` computes a scalar from the features of each tower, which encodes `chunk_size` rows at a time. Give another
    `backward` to scale gradients.
    """
    features = [_cached(tower, chunk_size) for tower in towers]
    value = loss(*features)
    backward(value)
    for tower, found in zip(towers, features, strict=True):
        if tower.is_trained:
            assert found.grad is not None
            for rows, gradient in zip(
                _chunks(tower, chunk_size), torch.split(found.grad, chunk_size), strict=True
            ):
                torch.autograd.backward(tower.encode(*rows), gradient)
    return value.detach()


def backward_of_pairs(
    learner: Learner,
    pairs: LabelledPairs,
    source: coins.HashCoins,
    keys: Mapping[str, Tensor],
    accelerator: Accelerator,
    *,
    chunk_size: int,
) -> Tensor:
    """`backward_in_chunks` of a learner's loss; `source` draws the coins of a chunk from its keys, by tower."""
    encoder = learner.encoder
    if pairs.image_features is not None and not learner.reads_texts:  # nothing is left to encode
        with accelerator.autocast():
            whole = learner(pairs)
        accelerator.backward(whole)
        return whole.detach()  # type: ignore[no-any-return]

    def encode(tower: str, encode_rows: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def of_rows(rows: Tensor, keys_of_rows: Tensor) -> Tensor:
            source.keys = {
                tower: keys_of_rows
            }  # for the backward pass too: checkpointed blocks run again there
            with accelerator.autocast():
                return F.normalize(encode_rows(rows), dim=-1)

        return of_rows

    def loss(image_features: Tensor, text_features: Tensor | None = pairs.text_features) -> Tensor:
        with accelerator.autocast():
            return learner.loss_of(image_features, text_features, pairs)  # type: ignore[arg-type]

    images = encode("image", learner.encode_image), (pairs.pixels, keys["image"])
    towers = [Tower(*images, learner.trains_images())]
    if learner.reads_texts and pairs.text_features is None:
        texts = encode("text", encoder.encode_text), (pairs.tokens, keys["text"])
        towers.append(Tower(*texts, learns(encoder.text_tower())))
    with use_coins(learner, source):
        return backward_in_chunks(loss, *towers, chunk_size=chunk_size, backward=accelerator.backward)


@torch.no_grad()
def _cached(tower: Tower, chunk_size: int) -> Tensor:
    return torch.cat([tower.encode(*rows) for rows in _chunks(tower, chunk_size)]).requires_grad_()


def _chunks(tower: Tower, chunk_size: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(torch.split(rows, chunk_size) for rows in tower.inputs), strict=True)
