"""Unit-norm features of images and of texts, each encoded once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.errors import DataError
from radapter.processes import ALONE, Processes
from radapter.zeroshot import TextEncoder, device_of, evaluating


class PairEncoder(TextEncoder, Protocol):
    """What images and texts are encoded with; a `DualEncoder` is one."""

    def encode_image(self, pixels: Tensor, /) -> Tensor:
        """(B, 3, H, W) -> (B, E), not necessarily of unit norm."""

    def modules(self) -> Iterator[nn.Module]:
        """As `nn.Module.modules`."""


def retrieval_features(
    encoder: PairEncoder, image_batches: Iterable[Tensor], captions: Sequence[str], *, batch_size: int = 256
) -> tuple[Tensor, Tensor]:
    """What `retrieval_ranks` takes: features of all images and of all captions.

    Args:
        encoder: computes in evaluation mode, at the weights it has, and is left in the mode it was in.
        image_batches: (B, 3, H, W) each, as the encoder's `preprocess` gives them; read once, in order.
        captions: M texts; those that are equal are encoded once.
        batch_size: captions at a time.

    Returns:
        Image features (N, E) and text features (M, E), unit norm, float32 or wider, on the CPU.

    Raises:
        DataError: there is no image or no caption.
    """
    return encode_images(encoder, image_batches), encode_texts(encoder, captions, batch_size=batch_size)


@torch.no_grad()
def encode_images(encoder: PairEncoder, image_batches: Iterable[Tensor]) -> Tensor:
    """Features of images, unit norm, (N, E), float32 or wider, on the CPU; arguments as `retrieval_features`.

    Raises:
        DataError: there is no image.
    """
    device = device_of(encoder)
    with evaluating(encoder):
        found = [_unit(encoder.encode_image(pixels.to(device))) for pixels in image_batches]
    if not found:
        raise DataError("images must hold at least one. Got none.")
    return torch.cat(found)


@torch.no_grad()
def encode_texts(
    encoder: TextEncoder, texts: Sequence[str], *, batch_size: int = 256, processes: Processes = ALONE
) -> Tensor:
    """Features of texts, unit norm, (M, E), float32 or wider, on the CPU; equal texts are encoded once.

    Args:
        encoder: as for `retrieval_features`.
        texts: M of them.
        batch_size: texts at a time.
        processes: take turns with the batches; all get the features.

    Raises:
        DataError: there is no text.
    """
    if not texts:
        raise DataError("texts must hold at least one. Got none.")
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    distinct, device = list(row_of), device_of(encoder)

    def encode(chunk: list[str]) -> Tensor:
        return _unit(encoder.encode_text(encoder.tokenize(chunk).to(device)))

    chunks = [distinct[start : start + batch_size] for start in range(0, len(distinct), batch_size)]
    with evaluating(encoder):
        found = list(processes.in_turn(chunks, encode))
    return torch.cat(found)[torch.tensor([row_of[text] for text in texts])]


def _unit(embeddings: Tensor) -> Tensor:
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    return F.normalize(wide, dim=-1).cpu()
