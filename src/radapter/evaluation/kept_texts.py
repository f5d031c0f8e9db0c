"""What a text tower says of captions and class names, kept while the tower stays the same.

A sweep moves the weights between zero-shot and trained, a validation looks at those of an epoch: where neither
moves the text tower, because the method does not train it, its texts are encoded once for the whole run. That
nothing moved is seen in the weights themselves, so that no caller has to know.
"""

import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import final

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from radapter.evaluation.features import encode_texts
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import class_embeddings, device_of

KEPT_MIB = 256
"""What is kept at most, in MiB: 131,072 captions of 512 numbers."""


@final
class KeptTexts:
    """Features of captions and embeddings of class names, each computed once for one state of a text tower.

    Args:
        mib: memory that they may take; what does not fit is computed again.
    """

    def __init__(self, mib: float = KEPT_MIB) -> None:
        self._room = int(mib * 2**20)
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._tower = ""
        self._kept: dict[Hashable, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """What is kept, in bytes."""
        return sum(tensor.nbytes for tensor in self._kept.values())

    def features(self, encoder: DualEncoder, captions: Sequence[str], processes: Processes = ALONE) -> Tensor:
        """As `encode_texts`."""
        key = ("captions", tuple(captions))
        return self._once(encoder, key, lambda: encode_texts(encoder, captions, processes=processes))

    def class_embeddings(
        self,
        encoder: DualEncoder,
        classnames: Sequence[str],
        templates: Sequence[str],
        processes: Processes = ALONE,
    ) -> Tensor:
        """As `class_embeddings`."""
        key = ("classes", tuple(classnames), tuple(templates), device_of(encoder))
        return self._once(
            encoder, key, lambda: class_embeddings(encoder, classnames, templates, processes=processes)
        )

    def _once(self, encoder: DualEncoder, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        if not self._knows(encoder):
            return make()
        found = self._kept.get(key)
        if found is None:
            found = make()
            if self.nbytes + found.nbytes <= self._room:
                self._kept[key] = found
        return found

    def _knows(self, encoder: DualEncoder) -> bool:
        """Forgets what another tower said; False of a tower with adapters, which is what its method trains."""
        modules = [part for part in encoder.text_tower() if isinstance(part, nn.Module)]
        if any(isinstance(module, BaseTunerLayer) for part in modules for module in part.modules()):
            return False
        tensors = [tensor for part in encoder.text_tower() for tensor in _tensors(part)]
        stamp = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
        if stamp != self._stamp:  # hashing takes a while: only where something was written
            tower = _digest(tensors)
            if tower != self._tower:
                self._kept.clear()
            self._stamp, self._tower = stamp, tower
        return True


def _tensors(part: nn.Module | nn.Parameter) -> list[Tensor]:
    return [part] if isinstance(part, nn.Parameter) else [*part.parameters(), *part.buffers()]


def _digest(tensors: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()
