"""Measures sets at every alpha between the zero-shot and the fine-tuned model; each image is decoded once.

`Interpolation` moves a module between two of its states: the ensemble in weight space,

    theta(alpha) = (1 - alpha) theta_original + alpha theta_tuned

Source: WiSE-FT, Wortsman et al., CVPR 2022 (arXiv 2109.01903). For merged linear adapters it is the paper's
re-scaling: W_org (alpha A + I) is the point alpha between W_org and W_org (A + I).

A `Measure` observes a set batch by batch at the current weights and then summarises it. `sweep` evaluates measures
at several alphas, `measured` one measure at the model's current weights.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol, final

import torch
from torch import Tensor, nn

from radapter.adapter.config import check_alpha
from radapter.errors import DataError, did_you_mean
from radapter.evaluation.metrics import Metrics
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.zeroshot import evaluating

ALPHAS = tuple(step / 10 for step in range(11))
"""0, 0.1 ... 1: the alphas of tables and plots."""
CACHE_MIB = 256.0
"""MiB of decoded images held at a time; 0 moves the weights at every batch."""

Progress = Callable[[str, int], None]
"""Called with a set's name and the number of images just done."""


class Answers(NamedTuple):
    """What a report shows of single images, as small tensors by name.

    model: the answers at the current weights, such as the predicted class of each image. truth: what does not depend
    on the weights, such as the labels and the images' numbers in the set. `docs/reference/files.md` lists the names.
    """

    model: Mapping[str, Tensor]
    truth: Mapping[str, Tensor]


class Measured(NamedTuple):
    """The metrics of a set at the current weights, and the `jackknife` pseudo-values of the task's score, (N,),
    float32, in the set's order of images; they compare two models on the same images. `answers` are None for a task
    whose report shows no single images."""

    metrics: Metrics
    pseudo_values: Tensor
    answers: Answers | None = None


class Measure(Protocol):
    """How one set of a task is measured. `batches` is this process's share; measures that share the callable
    `prepare` share its result."""

    @property
    def batches(self) -> Iterable[Any]:
        """The batches of the set; each has `pixels`, (B, 3, H, W)."""

    @property
    def prepare(self) -> Callable[[], Any]:
        """Returns what all batches need at the current weights, such as a head or the features of every caption."""

    def count(self, batch: Any) -> int:
        """B, the number of images of a batch."""

    def truth(self, batch: Any) -> Any:
        """What `summarise` needs of a batch beside the observations; no pixels."""

    def observe(self, prepared: Any, batch: Any) -> Tensor:
        """The model's output for a batch at the current weights. It is kept, so it should be small."""

    def remember(self, observed: Sequence[Tensor]) -> None:
        """Receives the zero-shot model's observations of the whole set, if computed, in the main process."""

    def summarise(self, prepared: Any, observed: Sequence[Tensor], truths: Sequence[Any]) -> Measured:
        """The metrics of the whole set, and each image's contribution to the score."""


class AlphaPath(Protocol):
    """The states of a model between the zero-shot and the fine-tuned one."""

    def at(self, alpha: float) -> AbstractContextManager[object]:
        """A block in which the model is in the state of an alpha in [0, 1]."""

    def changes(self) -> dict[str, tuple[float, float]]:
        """Name of a changed weight -> the Frobenius norms of its change and of its original; empty if the states
        are no weights."""


@final
class Interpolation:
    """Moves a module between its original and its tuned weights, in place; both map names of its parameters and
    buffers to tensors. Raises ValueError if the names differ, are not in the module, or a shape does not fit."""

    def __init__(
        self, module: nn.Module, original: Mapping[str, Tensor], tuned: Mapping[str, Tensor]
    ) -> None:
        if original.keys() != tuned.keys():
            only = sorted(original.keys() ^ tuned.keys())
            raise ValueError(
                f"original and tuned must hold the same names. {len(only)} are in only one: "
                f"{', '.join(only[:3])}. Take both from the same module."
            )
        live = _tensors(module)
        for name in original:
            if name not in live:
                raise ValueError(
                    f"every name must be a parameter or buffer of the module. '{name}' is not."
                    f"{did_you_mean(name, live)}"
                )
            shapes = {tuple(of[name].shape) for of in (live, original, tuned)}
            if len(shapes) > 1:
                raise ValueError(f"'{name}' must have one shape everywhere. Got {sorted(shapes)}.")
        self.module = module
        self._ends: dict[str, tuple[Tensor, Tensor]] = {}
        for name, start in original.items():
            end = tuned[name]
            if start.dtype != end.dtype or not torch.equal(start, end.to(start.device)):
                self._ends[name] = (start.detach().clone(), end.detach().clone())

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters and buffers that differ between the two states."""
        return tuple(self._ends)

    def changes(self) -> dict[str, tuple[float, float]]:
        """Name -> the Frobenius norms of tuned - original and of original, for each of `names` with fractions."""
        found = {}
        for name, (original, tuned) in self._ends.items():
            if original.is_floating_point():
                start = original.float()
                change = tuned.to(device=start.device, dtype=torch.float32) - start
                found[name] = (float(change.norm()), float(start.norm()))
        return found

    @contextmanager
    def at(self, alpha: float) -> Iterator[None]:
        """Gives the module the weights at `alpha` while the block runs, and restores it bitwise.

        At 0 and 1 the weights are copied; between them the sum is in float32 or wider. Integer tensors have the
        tuned value at every alpha but 0. Raises ConfigError if alpha is outside [0, 1].
        """
        check_alpha(alpha)
        live = {name: tensor.detach() for name, tensor in _tensors(self.module).items() if name in self._ends}
        before = {name: tensor.clone() for name, tensor in live.items()}
        try:
            for name, (original, tuned) in self._ends.items():
                live[name].copy_(_between(original, tuned, alpha))
            yield
        finally:
            for name, tensor in before.items():
                live[name].copy_(tensor)


@torch.no_grad()
def sweep(
    model: DualEncoder,
    at: Callable[[float], AbstractContextManager[object]],
    measures: Mapping[str, Measure],
    alphas: Sequence[float] = ALPHAS,
    *,
    known: Mapping[float, Mapping[str, Metrics]] | None = None,
    kept: MutableMapping[tuple[float, str], Measured] | None = None,
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> dict[float, dict[str, Metrics]]:
    """Computes the metrics of every set at every alpha.

    Each set is read once. Blocks of up to `CACHE_MIB` of decoded images are observed at every alpha before the next
    are read, so that the weights move once per alpha and block.

    Args:
        model: The model that the measures observe; its mode and weights are restored.
        at: Returns a context in which the model has the weights of an alpha: `Interpolation.at`, or
            `lambda alpha: set_alpha(encoder, alpha)`.
        measures: By name of the set.
        alphas: Each in [0, 1]; repeated ones are computed once.
        known: alpha -> name -> metrics that are not computed again (alpha 0 is the same for every method).
        kept: Receives (alpha, name) -> metrics, pseudo-values and answers of each set and alpha that is computed.
        progress: Called with each set's images, once per image and computed alpha.
        processes: Each observes its share of a set's batches; the main one computes the metrics for all.

    Returns:
        alpha -> set name -> metrics, in the order given.

    Raises ConfigError if an alpha is outside [0, 1], and DataError if a set has no image.
    """
    for alpha in alphas:
        check_alpha(alpha)
    results: dict[float, dict[str, Metrics]] = {alpha: dict((known or {}).get(alpha, {})) for alpha in alphas}
    missing = {name: [alpha for alpha, found in results.items() if name not in found] for name in measures}
    prepared: dict[tuple[float, Callable[[], Any]], Any] = {}
    with evaluating(model):
        for alpha in results:
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
            for block in blocks(measure.batches, CACHE_MIB if len(observed) > 1 else 0):
                truths.extend(measure.truth(batch) for batch in block)
                for alpha, of_alpha in observed.items():
                    with at(alpha):
                        for batch in block:
                            of_alpha.append(measure.observe(prepared[alpha, measure.prepare], batch))
                            if progress is not None:
                                progress(name, measure.count(batch))
            truths = _joined(truths, processes)
            for alpha in sorted(observed, key=bool):  # zero-shot first: the agreement of others needs it
                whole = _joined(observed.pop(alpha), processes)
                if alpha == 0.0 and whole:
                    measure.remember(whole)
                of_alpha = prepared[alpha, measure.prepare]
                summary = partial(_summary, name, measure, of_alpha, whole, truths)
                found = processes.on_main(summary)
                results[alpha][name] = found.metrics
                if kept is not None:
                    kept[alpha, name] = found
    return {alpha: {name: found[name] for name in measures} for alpha, found in results.items()}


def measured(
    model: DualEncoder,
    measure: Measure,
    *,
    name: str = "set",
    progress: Progress | None = None,
    processes: Processes = ALONE,
) -> Measured:
    """Measures one set at the model's current weights, as `sweep` does. Raises DataError if there is no image."""
    kept: dict[tuple[float, str], Measured] = {}
    sweep(model, nullcontext, {name: measure}, [1.0], kept=kept, progress=progress, processes=processes)
    return kept[1.0, name]


def blocks(batches: Iterable[Any], cache_mib: float) -> Iterator[list[Any]]:
    """Groups batches into lists of `cache_mib` MiB of pixels or a little more."""
    block: list[Any] = []
    held = 0
    for batch in batches:
        block.append(batch)
        held += batch.pixels.nbytes
        if held >= cache_mib * 2**20:
            yield block
            block, held = [], 0
    if block:
        yield block


def _summary(
    name: str, measure: Measure, prepared: Any, observed: list[Tensor], truths: list[Any]
) -> Measured:
    if not truths:
        raise DataError(f"data set must hold an image. '{name}' holds none.")
    return measure.summarise(prepared, observed, truths)


def _joined(share: list[Any], processes: Processes) -> list[Any]:
    return list(chain.from_iterable(processes.gather_on_main(share)))


def _between(original: Tensor, tuned: Tensor, alpha: float) -> Tensor:
    if alpha == 0:
        return original
    if alpha == 1 or not original.is_floating_point():
        return tuned
    wide = torch.promote_types(original.dtype, torch.float32)
    return torch.lerp(original.to(wide), tuned.to(device=original.device, dtype=wide), alpha)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    named = (module.named_buffers(remove_duplicate=False), module.named_parameters(remove_duplicate=False))
    return dict(chain.from_iterable(named))
