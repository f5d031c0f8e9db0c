"""Every alpha between the zero-shot and the fine-tuned model; each image is decoded once.

`sweep` measures any kind of set, `alpha_sweep` labelled images under a head, `measured` one set as the model is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from radapter.adapter.config import check_alpha
from radapter.data import Batch
from radapter.errors import DataError
from radapter.evaluation.classification import ClassificationMeasure
from radapter.evaluation.measure import Measure, Measured, Progress
from radapter.evaluation.metrics import Metrics
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import LinearHead, evaluating

ALPHAS = tuple(step / 10 for step in range(11))
"""0, 0.1 ... 1: the alphas of tables and plots."""
CACHE_MIB = 256.0
"""MiB of decoded images held at a time; 0 moves the weights at every batch."""


@torch.no_grad()
def sweep(
    model: DualEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    measures: Mapping[str, Measure],
    alphas: Sequence[float] = ALPHAS,
    *,
    known: Mapping[float, Mapping[str, Metrics]] | None = None,
    pseudo_values: MutableMapping[tuple[float, str], Tensor] | None = None,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> dict[float, dict[str, Metrics]]:
    """The metrics of every set at every alpha.

    Each set is read once. Its decoded images are held up to `CACHE_MIB` and are observed at every alpha before
    the next are read, so that the weights move once per alpha and block, not once per batch.

    Args:
        model: Read by the measures; it is left in the mode and at the weights it had.
        at: A block in which the model has the weights of that alpha: `Interpolation.at`, or
            `lambda alpha: set_alpha(encoder, alpha)`.
        measures: By name of the set.
        alphas: Each in [0, 1]; repeated ones are computed once.
        known: alpha -> name -> known metrics, which are not computed again (alpha 0 is the same for every method).
        pseudo_values: Receives (alpha, name) -> the pseudo-values of each set and alpha that is computed.
        progress: Called with each set's images, once per image and computed alpha.
        processes: Each observes its share of a set's batches. The main one computes the metrics, and all receive
            them.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises:
        ConfigError: An alpha is outside [0, 1].
        DataError: A set has no image.
    """
    for alpha in alphas:
        check_alpha(alpha)
    wanted = list(dict.fromkeys(alphas))
    results: dict[float, dict[str, Metrics]] = {
        alpha: {name: found[name] for name in measures if name in found}
        for alpha in wanted
        for found in [(known or {}).get(alpha, {})]
    }
    missing = {name: [a for a in wanted if name not in results[a]] for name in measures}
    prepared: dict[tuple[float, Callable[[], Any]], Any] = {}
    with evaluating(model):
        for alpha in wanted:
            needed = [m.prepare for name, m in measures.items() if alpha in missing[name]]
            if needed:
                with at(alpha):
                    model.weights_changed()
                    prepared |= {(alpha, prepare): prepare() for prepare in dict.fromkeys(needed)}
                model.weights_changed()
        for name, measure in measures.items():
            if not missing[name]:
                continue
            observed: dict[float, list[Tensor]] = {alpha: [] for alpha in missing[name]}
            truths: list[Any] = []
            for block in _blocks(measure.batches, CACHE_MIB if len(observed) > 1 else 0):
                truths.extend(measure.truth(batch) for batch in block)
                for alpha, of_alpha in observed.items():
                    with at(alpha):
                        for batch in block:
                            of_alpha.append(measure.observe(prepared[alpha, measure.prepare], batch))
                            if progress is not None:
                                progress(name, measure.count(batch))
            truths = _joined(truths, processes)
            for alpha in sorted(observed, key=bool):  # zero-shot first: others agree with it
                whole = _joined(observed.pop(alpha), processes)
                if alpha == 0.0 and whole:
                    measure.remember(whole)
                of_alpha = prepared[alpha, measure.prepare]
                summary = partial(_summary, measure, of_alpha, whole, truths, name=name)
                results[alpha][name], values = processes.on_main(summary)
                if pseudo_values is not None:
                    pseudo_values[alpha, name] = values
    return {alpha: {name: of_alpha[name] for name in measures} for alpha, of_alpha in results.items()}


def measured(
    model: DualEncoder,
    measure: Measure,
    *,
    name: str = "set",
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Measured:
    """Measures one set at the model's current weights, as `sweep` does. Raises DataError if there is no image."""
    values: dict[tuple[float, str], Tensor] = {}
    found = sweep(
        model,
        lambda _: nullcontext(),
        {name: measure},
        (1.0,),
        pseudo_values=values,
        progress=progress,
        processes=processes,
    )
    return Measured(found[1.0][name], values[1.0, name])


def alpha_sweep(
    encoder: DualEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    head: Callable[[], LinearHead],
    sets: Mapping[str, Iterable[Batch]],
    alphas: Sequence[float] = ALPHAS,
    *,
    classes: Mapping[str, Tensor] | None = None,
    zero_shot: MutableMapping[str, Tensor] | None = None,
    progress: Progress | None = None,
) -> dict[float, dict[str, Metrics]]:
    """`sweep` of sets of labelled images under a head.

    Args:
        encoder: Encodes the images.
        at: As for `sweep`; `head` is read inside its block.
        head: Returns the head, called once per alpha: a trained head, or
            `lambda: LinearHead.zero_shot(class_embeddings(...), logit_scale)` for the text tower at that alpha.
        sets: Name -> batches, each iterable once.
        alphas: As for `sweep`.
        classes: Name -> the columns of the head that this set can hold; see `classification_metrics`.
        zero_shot: Name -> (N,), predictions of the zero-shot model. Alpha 0 writes them if it is computed; where
            they are known, the metrics have the agreement with them.
        progress: As for `sweep`.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises:
        ConfigError: An alpha is outside [0, 1].
        DataError: A set has no image.
    """
    measures = {
        name: ClassificationMeasure(
            encoder, head, batches, (classes or {}).get(name), name=name, zero_shot=zero_shot
        )
        for name, batches in sets.items()
    }
    return sweep(encoder, at, measures, alphas, progress=progress)


def _blocks(batches: Iterable[Any], cache_mib: float) -> Iterator[list[Any]]:
    block: list[Any] = []
    held = 0
    for batch in batches:
        block.append(batch)
        held += batch.pixels.nelement() * batch.pixels.element_size()
        if held >= cache_mib * 2**20:
            yield block
            block, held = [], 0
    if block:
        yield block


def _summary(
    measure: Measure, prepared: Any, observed: Sequence[Tensor], truths: Sequence[Any], *, name: str
) -> Measured:
    if not truths:
        raise DataError(f"data set must hold an image. '{name}' holds none.")
    return measure.summarise(prepared, observed, truths)


def _joined(share: list[Any], processes: Processes) -> list[Any]:
    return list(chain.from_iterable(processes.gather_on_main(share)))
