"""What a run, a merged directory or a model classifies with: its weights at every alpha, its classes, its head."""

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import final

from radapter.models import DualEncoder
from radapter.zeroshot import Head


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class OpenedWeights:
    """An encoder in memory, private to the predictors that share it.

    Attributes:
        name: the run, the directory or the model.
        encoder: of a run at alpha 1 outside of `at`, with the adapters merged; or the only weights of a model.
        at: gives the weights of an alpha while a block runs; does nothing for a model.
        is_run: whether there is more than one alpha.
        alpha: the run's own, or that of a merged directory; None for a model.
        head: a trained head, whose weights `at` moves too, or that of a merged directory; None for the zero-shot
            head.
        classnames: of the run or the merged directory; None if it has none of its own.
        templates: of the run or the merged directory; None if it has none of its own.
        temperatures: alpha -> temperature, as fitted on ID validation; empty if none was.
        base: opens the model before training, whose weights `at(0)` gives for a run; returns None if it is not at
            hand.
        lock: held while weights move or images are encoded: several threads may share the encoder.
    """

    name: str
    encoder: DualEncoder
    at: Callable[[float], AbstractContextManager[object]]
    is_run: bool = False
    alpha: float | None = None
    head: Head | None = None
    classnames: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    temperatures: Mapping[float, float] = field(default_factory=dict)
    base: Callable[[], DualEncoder | None]
    lock: threading.RLock = field(default_factory=threading.RLock)
