"""Gradient caching: the exact step of a large batch in the memory of a small one.

A contrastive loss needs the features of the whole batch, but not their graph. So the batch is encoded chunk by chunk
without one, the loss of all features gives their gradients, and each chunk is encoded again with a graph, which
receives those gradients:

    dL/dw = sum_k (dL/dx_k) (dx_k/dw),  x_k the features of chunk k

The second encoding must equal the first. Images are augmented before they come here, and the coins of adapter
dropping are a hash of the step and the sample's key (`adapter.coins`), so both encodings drop the same samples.

Source: Gao et al., "Scaling deep contrastive learning batch size under memory limited setup", RepL4NLP 2021.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.adapter import coins, use_coins
from radapter.methods import LabelledPairs, Learner, learns

Encode = Callable[[slice], Tensor]
Tossed = Callable[[slice], AbstractContextManager[object]]


def backward_in_chunks(
    learner: Learner,
    pairs: LabelledPairs,
    coins_of: Callable[[Mapping[str, Tensor]], coins.CoinSource],
    keys: Mapping[str, Tensor],
    *,
    chunk_size: int,
    autocast: Callable[[], AbstractContextManager[object]],
    backward: Callable[[Tensor], None],
) -> Tensor:
    """Accumulates the gradients of one batch's loss, as one backward pass through all of it would.

    Args:
        learner: The trained model.
        pairs: The batch.
        coins_of: Makes the coin source for samples with these keys.
        keys: (B,) of the images, (U,) of the captions, by tower.
        chunk_size: Images, and captions, encoded at a time.
        autocast: The precision of the towers.
        backward: Runs the backward pass of a loss, with a gradient scaler if there is one.

    Returns:
        The loss, a detached scalar.
    """

    def images(rows: slice) -> Tensor:
        with autocast():
            return F.normalize(learner.encoder.encode_image(pairs.pixels[rows]), dim=-1)

    def texts(rows: slice) -> Tensor:
        with autocast():
            return F.normalize(learner.encoder.encode_text(pairs.tokens[rows]), dim=-1)

    def tossed(tower: str) -> Callable[[slice], AbstractContextManager[object]]:
        """The coins of a chunk: of its backward pass too, in which checkpointed blocks are run again."""
        return lambda rows: use_coins(learner, coins_of({tower: keys[tower][rows]}))

    image_features = _cached(images, tossed("image"), len(pairs.pixels), chunk_size)
    text_features = pairs.text_features
    if learner.reads_texts and text_features is None:
        text_features = _cached(texts, tossed("text"), len(pairs.tokens), chunk_size)
    with autocast():
        loss = learner.loss_of(image_features, text_features, pairs)  # type: ignore[arg-type]
    backward(loss)
    encoder = learner.encoder
    if learns(encoder.image_tower()):
        _enter(images, tossed("image"), image_features, chunk_size)
    if text_features is not None and learns(encoder.text_tower()):
        _enter(texts, tossed("text"), text_features, chunk_size)
    return loss.detach()


@torch.no_grad()
def _cached(encode: Encode, tossed: Tossed, samples: int, chunk_size: int) -> Tensor:
    found = []
    for rows in _chunks(samples, chunk_size):
        with tossed(rows):
            found.append(encode(rows))
    return torch.cat(found).requires_grad_()


def _enter(encode: Encode, tossed: Tossed, features: Tensor, chunk_size: int) -> None:
    assert features.grad is not None
    for rows in _chunks(len(features), chunk_size):
        with tossed(rows):
            torch.autograd.backward(encode(rows), features.grad[rows])


def _chunks(samples: int, chunk_size: int) -> Iterator[slice]:
    return (slice(start, start + chunk_size) for start in range(0, samples, chunk_size))
