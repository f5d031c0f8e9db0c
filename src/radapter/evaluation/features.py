"""Unit-norm features of images and of texts, each encoded once."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.errors import DataError
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import device_of, evaluating


def retrieval_features(
    encoder: DualEncoder, image_batches: Iterable[Tensor], captions: Sequence[str], *, batch_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Encodes all images and all captions, in evaluation mode at the current weights, for `retrieval_ranks`.

    Args:
        encoder: Is left in the mode it was in.
        image_batches: (B, 3, H, W) each, as the encoder's `preprocess` gives them; read once, in order.
        captions: M texts; equal ones are encoded once.
        batch_size: Captions at a time.

    Returns:
        Image features (N, E) and text features (M, E), unit norm, float32 or wider, on the CPU.

    Raises:
        DataError: There is no image or no caption.
    """
    return encode_images(encoder, image_batches), encode_texts(encoder, captions, batch_size=batch_size)


@torch.no_grad()
def encode_images(encoder: DualEncoder, image_batches: Iterable[Tensor]) -> Tensor:
    """Image half of `retrieval_features`. Raises DataError if there is no image."""
    device = device_of(encoder)
    with evaluating(encoder):
        found = [
            F.normalize(widen(encoder.encode_image(pixels.to(device))), dim=-1).cpu()
            for pixels in image_batches
        ]
    if not found:
        raise DataError("images must hold at least one. Got none.")
    return torch.cat(found)


@torch.no_grad()
def encode_texts(
    encoder: DualEncoder, texts: Sequence[str], *, batch_size: int = 256, processes: Processes = ALONE
) -> Tensor:
    """Text half of `retrieval_features`; processes take turns with the batches, and all receive the features. Raises
    DataError if there is no text."""
    if not texts:
        raise DataError("texts must hold at least one. Got none.")
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    distinct, device = list(row_of), device_of(encoder)

    def encode(chunk: list[str]) -> Tensor:
        embeddings = encoder.encode_text(encoder.tokenize(chunk).to(device))
        return F.normalize(widen(embeddings), dim=-1).cpu()

    chunks = [distinct[start : start + batch_size] for start in range(0, len(distinct), batch_size)]
    with evaluating(encoder):
        found = list(processes.in_turn(chunks, encode))
    return torch.cat(found)[torch.tensor([row_of[text] for text in texts])]
