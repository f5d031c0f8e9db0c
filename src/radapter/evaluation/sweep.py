"""Every alpha between the zero-shot and the fine-tuned model, at the price of decoding each image once.

`alpha_sweep` evaluates; `smallest_within_one_standard_error` chooses an alpha from scores on ID validation.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from radapter.errors import DataError
from radapter.evaluation.classification import (
    ImageEncoder,
    LabelledImages,
    Progress,
    joined_groups,
    zero_shot_logits,
)
from radapter.evaluation.interpolation import check_alpha
from radapter.evaluation.metrics import Metrics, classification_metrics, predicted
from radapter.zeroshot import evaluating

ALPHAS = tuple(step / 10 for step in range(11))
"""0, 0.1 ... 1: the alphas of tables and plots."""


@torch.no_grad()
def alpha_sweep(
    encoder: ImageEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    head: Callable[[], Tensor],
    sets: Mapping[str, Iterable[LabelledImages]],
    alphas: Sequence[float] = ALPHAS,
    *,
    known: Mapping[float, Mapping[str, Metrics]] | None = None,
    classes: Mapping[str, Tensor] | None = None,
    zero_shot: MutableMapping[str, Tensor] | None = None,
    cache_mib: float = 256.0,
    progress: Progress | None = None,
) -> dict[float, dict[str, Metrics]]:
    """The metrics of every set at every alpha.

    Each set is read once. Its decoded images are held up to `cache_mib` and pass the encoder at every alpha
    before the next are read, so that the weights move once per alpha and block, not once per batch; of what was
    computed only logits are kept.

    Args:
        encoder: gives image embeddings; it is left in the mode and at the weights it had.
        at: a block in which the encoder, and what `head` reads, stand at that alpha: `Interpolation.at`, or
            `lambda alpha: set_alpha(encoder, alpha)`.
        head: the head (C, E), read once per alpha inside that block: `lambda: class_embeddings(...)` for the
            text tower at that alpha, or the trained head's parameter.
        sets: name -> batches, each iterable once.
        alphas: each in [0, 1]; repeated ones are computed once.
        known: alpha -> name -> metrics that are known already (alpha 0 is the same for every method); these
            are taken over, not computed.
        classes: name -> the columns of the head that this set can hold; see `classification_metrics`.
        zero_shot: name -> (N,), what the zero-shot model predicts; where alpha 0 is computed it is put there, and
            where it is there the metrics have the agreement with it.
        cache_mib: MiB of decoded images held at a time; 0 moves the weights at every batch.
        progress: told of each set's images, once per image and alpha computed.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises:
        ConfigError: an alpha is outside [0, 1].
        DataError: a set has no image.
    """
    for alpha in alphas:
        check_alpha(alpha)
    wanted = list(dict.fromkeys(alphas))
    results: dict[float, dict[str, Metrics]] = {alpha: {} for alpha in wanted}
    missing: dict[str, list[float]] = {}
    for name in sets:
        found = {alpha: metrics[name] for alpha, metrics in (known or {}).items() if name in metrics}
        missing[name] = [alpha for alpha in wanted if alpha not in found]
        for alpha in wanted:
            if alpha in found:
                results[alpha][name] = found[alpha]

    heads: dict[float, Tensor] = {}
    with evaluating(encoder):
        for alpha in wanted:
            if any(alpha in of_set for of_set in missing.values()):
                with at(alpha):
                    heads[alpha] = head().detach().clone()
        for name, batches in sets.items():
            if not missing[name]:
                continue
            logits: dict[float, list[Tensor]] = {alpha: [] for alpha in missing[name]}
            labels: list[Tensor] = []
            groups: list[Tensor | None] = []
            for block in _blocks(batches, cache_mib):
                labels.extend(batch.labels.cpu() for batch in block)
                groups.extend(batch.groups for batch in block)
                for alpha, of_alpha in logits.items():
                    with at(alpha):
                        for batch in block:
                            of_alpha.append(zero_shot_logits(encoder, heads[alpha], batch.pixels).cpu())
                            if progress is not None:
                                progress(name, len(batch.labels))
            if not labels:
                raise DataError(f"data set must hold an image. '{name}' holds none.")
            truth, of_group = torch.cat(labels), joined_groups(groups)
            columns = (classes or {}).get(name)
            if zero_shot is not None and 0.0 in logits:
                zero_shot[name] = predicted(torch.cat(logits[0.0]), columns)
            for alpha, of_alpha in logits.items():
                results[alpha][name] = classification_metrics(
                    torch.cat(of_alpha),
                    truth,
                    classes=columns,
                    groups=of_group,
                    zero_shot=(zero_shot or {}).get(name),
                )
    return {alpha: {name: of_alpha[name] for name in sets} for alpha, of_alpha in results.items()}


def smallest_within_one_standard_error(alphas: Sequence[float], scores: Sequence[float], n: int) -> float:
    """The rule of `alpha: auto`: the smallest alpha that is as good as the best, up to the noise of the set.

        min {alpha : score(alpha) >= a - sqrt(a (1 - a) / n)},  a = max score

    Taking the best score itself would choose alpha near 1 and lose robustness that the set cannot see.

    Args:
        alphas: K values.
        scores: K accuracies on ID validation, fractions.
        n: the number of validation images.

    Returns:
        One of `alphas`.

    Raises:
        ValueError: the lengths differ or are 0, a score is outside [0, 1], or n is below 1.
    """
    if not alphas or len(alphas) != len(scores):
        raise ValueError(
            f"alphas and scores must have one length of at least 1. Got {len(alphas)} and {len(scores)}."
        )
    if n < 1:
        raise ValueError(f"n must be the number of validation images, at least 1. Got {n}.")
    outside = [score for score in scores if not 0.0 <= score <= 1.0]
    if outside:
        raise ValueError(f"scores must be fractions in [0, 1]. Got {outside[0]}. Divide percent by 100.")
    best = max(scores)
    floor = best - math.sqrt(best * (1 - best) / n)
    return min(alpha for alpha, score in zip(alphas, scores, strict=True) if score >= floor)


def _blocks(batches: Iterable[LabelledImages], cache_mib: float) -> Iterator[list[LabelledImages]]:
    """Batches in groups whose pixels fill `cache_mib`; every group has at least one."""
    block: list[LabelledImages] = []
    held = 0
    for batch in batches:
        block.append(batch)
        held += batch.pixels.nelement() * batch.pixels.element_size()
        if held >= cache_mib * 2**20:
            yield block
            block, held = [], 0
    if block:
        yield block
