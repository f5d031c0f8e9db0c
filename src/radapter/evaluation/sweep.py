"""Every alpha between the zero-shot and the fine-tuned model, at the price of decoding each image once.

`sweep` measures any kind of set, `alpha_sweep` labelled images under a head.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from radapter.adapter.config import check_alpha
from radapter.evaluation.classification import (
    ClassificationMeasure,
    ImageEncoder,
    LabelledImages,
)
from radapter.evaluation.measure import Measure, Progress, joined, summary_of
from radapter.evaluation.metrics import Metrics
from radapter.processes import ALONE, Processes
from radapter.zeroshot import HasModules, LinearHead, evaluating

ALPHAS = tuple(step / 10 for step in range(11))
"""0, 0.1 ... 1: the alphas of tables and plots."""


@torch.no_grad()
def sweep(
    model: HasModules,
    at: Callable[[float], AbstractContextManager[object]],
    measures: Mapping[str, Measure],
    alphas: Sequence[float] = ALPHAS,
    *,
    known: Mapping[float, Mapping[str, Metrics]] | None = None,
    pseudo_values: MutableMapping[tuple[float, str], Tensor] | None = None,
    cache_mib: float = 256.0,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> dict[float, dict[str, Metrics]]:
    """The metrics of every set at every alpha.

    Each set is read once. Its decoded images are held up to `cache_mib` and are observed at every alpha before
    the next are read, so that the weights move once per alpha and block, not once per batch.

    Args:
        model: what the measures read; it is left in the mode and at the weights it had.
        at: a block in which it stands at that alpha: `Interpolation.at`, or
            `lambda alpha: set_alpha(encoder, alpha)`.
        measures: by name of the set.
        alphas: each in [0, 1]; repeated ones are computed once.
        known: alpha -> name -> metrics that are known already (alpha 0 is the same for every method); these
            are taken over, not computed.
        pseudo_values: filled with (alpha, name) -> the pseudo-values of each set and alpha that is computed.
        cache_mib: MiB of decoded images held at a time; 0 moves the weights at every batch.
        progress: told of each set's images, once per image and alpha computed.
        processes: each observes its share of a set's batches; the main one computes the metrics, and all get them.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises:
        ConfigError: an alpha is outside [0, 1].
        DataError: a set has no image.
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
                    prepared |= {(alpha, prepare): prepare() for prepare in dict.fromkeys(needed)}
        for name, measure in measures.items():
            if not missing[name]:
                continue
            observed: dict[float, list[Tensor]] = {alpha: [] for alpha in missing[name]}
            truths: list[Any] = []
            for block in _blocks(measure.batches, cache_mib):
                truths.extend(measure.truth(batch) for batch in block)
                for alpha, of_alpha in observed.items():
                    with at(alpha):
                        for batch in block:
                            of_alpha.append(measure.observe(prepared[alpha, measure.prepare], batch))
                            if progress is not None:
                                progress(name, measure.count(batch))
            truths = joined(truths, processes)
            for alpha in sorted(
                observed, key=lambda alpha: alpha != 0.0
            ):  # zero-shot first: others agree with it
                whole = joined(observed.pop(alpha), processes)
                if alpha == 0.0 and whole:
                    measure.remember(whole)
                found = summary_of(
                    measure, prepared[alpha, measure.prepare], whole, truths, name=name, processes=processes
                )
                results[alpha][name] = found.metrics
                if pseudo_values is not None:
                    pseudo_values[alpha, name] = found.pseudo_values
    return {alpha: {name: of_alpha[name] for name in measures} for alpha, of_alpha in results.items()}


def alpha_sweep(
    encoder: ImageEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    head: Callable[[], LinearHead],
    sets: Mapping[str, Iterable[LabelledImages]],
    alphas: Sequence[float] = ALPHAS,
    *,
    known: Mapping[float, Mapping[str, Metrics]] | None = None,
    classes: Mapping[str, Tensor] | None = None,
    zero_shot: MutableMapping[str, Tensor] | None = None,
    cache_mib: float = 256.0,
    progress: Progress | None = None,
) -> dict[float, dict[str, Metrics]]:
    """`sweep` of sets of labelled images under a head.

    Args:
        encoder: gives image embeddings.
        at: as for `sweep`; `head` is read inside its block.
        head: the head, read once per alpha: `lambda: LinearHead.zero_shot(class_embeddings(...), logit_scale)` for
            the text tower at that alpha, or a trained head.
        sets: name -> batches, each iterable once.
        alphas: as for `sweep`.
        known: as for `sweep`.
        classes: name -> the columns of the head that this set can hold; see `classification_metrics`.
        zero_shot: name -> (N,), what the zero-shot model predicts; where alpha 0 is computed it is put there, and
            where it is there the metrics have the agreement with it.
        cache_mib: as for `sweep`.
        progress: as for `sweep`.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises:
        ConfigError: an alpha is outside [0, 1].
        DataError: a set has no image.
    """
    measures = {
        name: ClassificationMeasure(
            encoder, head, batches, (classes or {}).get(name), name=name, zero_shot=zero_shot
        )
        for name, batches in sets.items()
    }
    return sweep(encoder, at, measures, alphas, known=known, cache_mib=cache_mib, progress=progress)


def _blocks(batches: Iterable[Any], cache_mib: float) -> Iterator[list[Any]]:
    """Batches in groups whose pixels fill `cache_mib`; every group has at least one."""
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
