"""Features of captions and class names, kept while the text tower stays the same.

A sweep moves the weights between zero-shot and trained, and validation reads those of an epoch. Where the method
does not train the text tower, its texts are encoded once for the whole run. Code that changes weights reports it
with `DualEncoder.weights_changed`, as `sweep` and `measured` do. The SHA-256 of the tower then decides whether the
kept features are still valid.
"""

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import final

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from radapter.evaluation.features import encode_texts
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.storage import sha256_of_tensors
from radapter.zeroshot import class_embeddings, device_of


@final
class KeptTexts:
    """Features of captions and embeddings of class names, each computed once for one state of a text tower.

    Args:
        mib: Memory that they may take; what does not fit is computed again. 256 MiB hold 131,072 captions of 512
            numbers.
    """

    def __init__(self, mib: float = 256) -> None:
        self._room = int(mib * 2**20)
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
        if _has_adapters(encoder):  # its method trains them: nothing would be used twice
            return make()
        self._check(encoder)
        found = self._kept.get(key)
        if found is None:
            found = make()
            if self.nbytes + found.nbytes <= self._room:
                self._kept[key] = found
        return found

    def _check(self, encoder: DualEncoder) -> None:
        last, revision = self._checked
        if last() is encoder and revision == encoder.revision:
            return
        parts = encoder.text_tower()
        tower = sha256_of_tensors(("", tensor) for part in parts for tensor in _tensors(part))
        if tower != self._tower:
            self._kept.clear()
        self._checked, self._tower = (weakref.ref(encoder), encoder.revision), tower


def _has_adapters(encoder: DualEncoder) -> bool:
    parts = [part for part in encoder.text_tower() if isinstance(part, nn.Module)]
    return any(isinstance(module, BaseTunerLayer) for part in parts for module in part.modules())


def _tensors(part: nn.Module | nn.Parameter) -> list[Tensor]:
    return [part] if isinstance(part, nn.Parameter) else [*part.parameters(), *part.buffers()]
