"""Unit-norm features of images and texts; those of texts are kept while the text tower stays the same."""

import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import final

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.errors import DataError
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.storage import sha256_of_tensors
from radapter.zeroshot import class_embeddings, device_of, evaluating, unit_texts


def retrieval_features(
    encoder: DualEncoder, image_batches: Iterable[Tensor], captions: Sequence[str], *, batch_size: int = 256
) -> tuple[Tensor, Tensor]:
    """Encodes batches of images (B, 3, H, W), and captions, in evaluation mode: image features (N, E) and text
    features (M, E), unit norm, float32 or wider, on the CPU. Raises DataError if there is no image or no caption."""
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


def encode_texts(
    encoder: DualEncoder, texts: Sequence[str], *, batch_size: int = 256, processes: Processes = ALONE
) -> Tensor:
    """Text half of `retrieval_features`; processes take turns with the batches, and all receive the features. Raises
    DataError if there is no text."""
    if not texts:
        raise DataError("texts must hold at least one. Got none.")
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    found = [unit.cpu() for _, unit in unit_texts(encoder, list(row_of), batch_size, processes)]
    return torch.cat(found)[torch.tensor([row_of[text] for text in texts])]


@final
class KeptTexts:
    """Features of captions and embeddings of class names, each computed once for one state of a text tower.

    A sweep moves the weights, but a method may leave the text tower as it is. Code that changes weights reports it
    with `DualEncoder.weights_changed`, as `sweep` does. The SHA-256 of the tower then decides whether the kept
    features are still valid. They take up to `mib` MiB (256 hold 131,072 captions of 512 numbers).
    """

    def __init__(self, mib: float = 256) -> None:
        self._limit = int(mib * 2**20)
        self._checked: tuple[Callable[[], DualEncoder | None], int] = (lambda: None, 0)
        self._tower = ""
        self._kept: dict[Hashable, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of the kept features."""
        return sum(tensor.nbytes for tensor in self._kept.values())

    def features(self, encoder: DualEncoder, captions: Sequence[str], processes: Processes = ALONE) -> Tensor:
        """Returns `encode_texts` of the captions, kept or computed now."""
        key = ("captions", tuple(captions))
        return self._once(encoder, key, lambda: encode_texts(encoder, captions, processes=processes))

    def class_embeddings(
        self,
        encoder: DualEncoder,
        classnames: Sequence[str],
        templates: Sequence[str],
        processes: Processes = ALONE,
    ) -> Tensor:
        """Returns `zeroshot.class_embeddings` of the names, kept or computed now."""
        key = ("classes", tuple(classnames), tuple(templates), device_of(encoder))
        return self._once(
            encoder, key, lambda: class_embeddings(encoder, classnames, templates, processes=processes)
        )

    def _once(self, encoder: DualEncoder, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        parts = [part for part in encoder.text_tower() if isinstance(part, nn.Module)]
        if any(isinstance(module, BaseTunerLayer) for part in parts for module in part.modules()):
            return make()  # the method trains these adapters: nothing would be used twice
        self._check(encoder)
        found = self._kept.get(key)
        if found is None:
            found = make()
            if self.nbytes + found.nbytes <= self._limit:
                self._kept[key] = found
        return found

    def _check(self, encoder: DualEncoder) -> None:
        last, revision = self._checked
        if last() is encoder and revision == encoder.revision:
            return
        tensors = (
            tensor
            for part in encoder.text_tower()
            for tensor in (
                [part] if isinstance(part, nn.Parameter) else [*part.parameters(), *part.buffers()]
            )
        )
        tower = sha256_of_tensors(("", tensor) for tensor in tensors)
        if tower != self._tower:
            self._kept.clear()
        self._checked, self._tower = (weakref.ref(encoder), encoder.revision), tower
