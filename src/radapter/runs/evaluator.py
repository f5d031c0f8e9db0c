"""The evaluation of a model: every set at every alpha, or ID validation alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.errors import ConfigError
from radapter.evaluation import ALPHAS, HEADLINES, Measured, Metrics, measured, sweep
from radapter.losses.batch import widen
from radapter.models import DualEncoder
from radapter.runs.alpha_sweep import AlphaSweep, Tests, answers_by_key, pseudo_value_key
from radapter.runs.movement import moved_parts
from radapter.runs.results import ID_VAL, SweepRow
from radapter.runs.weights import Trained
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import ROLES, TESTED, EvaluationBatches, Suite, eval_loaders
from radapter.training import Environment, Evaluated, Interrupted
from radapter.zeroshot import Classifier, device_of, evaluating


class Evaluator:
    """The validation and test sets of a suite, decoded once and replayed for every method.

    The encoder preprocesses the images, and the recipe says how they are loaded. The processes of the environment
    share the sets, and all receive the results.
    """

    def __init__(
        self,
        suite: Suite,
        encoder: DualEncoder,
        recipe: Recipe | None = None,
        environment: Environment | None = None,
    ) -> None:
        self.task, self._suite, self._environment = suite.task, suite, environment or Environment()
        self._loaders = _loaders(suite, encoder, recipe or Recipe(), self._environment, ROLES)
        self._zero_shot: dict[str, Tensor] = {}  # predictions of the zero-shot model, by set
        self._saw_zero_shot = False

    def zero_shot(self, encoder: DualEncoder) -> AlphaSweep:
        """The model as it is, as the row "zero-shot" at alpha 0."""
        return self.states("zero-shot", Classifier(encoder, None), lambda _: nullcontext(), (0.0,))

    def sweep(
        self,
        trained: Trained,
        zero_shot: AlphaSweep | None = None,
        alphas: Sequence[float] = ALPHAS,
        *,
        tested: Tests | None = None,
    ) -> AlphaSweep:
        """The rows of a trained method at every alpha; see `states`."""
        method, classifier = trained.record.method, trained.classifier
        with trained.interpolation() as interpolation:
            if not self._saw_zero_shot:  # its rows were read from a file
                with interpolation.at(0.0):
                    self.states("zero-shot", classifier, lambda _: nullcontext(), (0.0,))
            swept = self.states(method, classifier, interpolation.at, alphas, zero_shot, tested)
            module = classifier.encoder.module
            return replace(swept, moved=moved_parts(module, interpolation.changes(), "encoder.module."))

    def states(
        self,
        method: str,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        zero_shot: AlphaSweep | None = None,
        tested: Tests | None = None,
    ) -> AlphaSweep:
        """The rows of a classifier in several states.

        Args:
            method: The rows' name.
            classifier: Without a head, the zero-shot head classifies.
            at: A block in which the classifier is in the state of an alpha.
            alphas: Each in [0, 1]; ID validation is evaluated at all of them.
            zero_shot: The rows at alpha 0, which are the same for every method; None computes them.
            tested: Chooses the alphas of the test sets; None for `alphas`.
        """
        began, processes = time.monotonic(), self._environment.processes
        known = {} if zero_shot is None else {0.0: zero_shot.rows[0].by_key()}
        kept: dict[tuple[float, str], Measured] = {}
        start = zero_shot if zero_shot is not None and 0.0 in alphas else AlphaSweep([], {}, {})
        values = {(0.0, name): of_set for name, of_set in start.of_alpha(0.0).items()}

        def metrics(alphas: Sequence[float], roles: Sequence[str]) -> dict[float, dict[str, Metrics]]:
            loaders = {key: loader for key, loader in self._loaders.items() if key[0] in roles}
            sizes = {
                f"{role}/{name}": (
                    processes.shares(len(loader.dataset))[processes.rank],
                    sum(f"{role}/{name}" not in known.get(alpha, {}) for alpha in alphas),
                )
                for (role, name), loader in loaders.items()
            }
            progress = _Progress(self._environment.evaluated, method, sizes)
            found = sweep(
                classifier.encoder,
                at,
                self._suite.measures(classifier, loaders, self._zero_shot, processes),
                alphas,
                known=known,
                kept=kept,
                progress=progress,
                processes=processes,
            )
            progress.finish()
            values.update({key: measured.pseudo_values for key, measured in kept.items()})
            self._saw_zero_shot |= zero_shot is None and 0.0 in alphas
            return found

        found = metrics(alphas, ROLES if tested is None else ("id_val",))
        validation = {alpha: of[ID_VAL] for alpha, of in found.items() if ID_VAL in of}
        if tested is not None:
            chosen = tested({a: Measured(of, values[a, ID_VAL]) for a, of in validation.items()})
            found = {alpha: found[alpha] | of for alpha, of in metrics(sorted(chosen), TESTED).items()}
        headline = HEADLINES[self.task]
        rows = [SweepRow.of_keys(method, alpha, of, headline=headline) for alpha, of in found.items()]
        by_key = {pseudo_value_key(*key): of_set for key, of_set in values.items()}
        answers = start.answers | answers_by_key(kept)
        return AlphaSweep(rows, validation, by_key, time.monotonic() - began, answers)


class Validator:
    """The ID validation set, decoded once. It holds no test set, so no choice made with it can have read one.

    `headline` is the figure of the task. Arguments are those of `Evaluator`. Raises ConfigError if the suite has
    no ID validation set.
    """

    def __init__(
        self, suite: Suite, encoder: DualEncoder, recipe: Recipe, environment: Environment | None = None
    ) -> None:
        if suite.id_val is None:
            raise ConfigError(
                "data.id_val is required where something is chosen: nothing else may choose. Give it, such as "
                "data.train with 'part: [0.8, 1.0]'."
            )
        self._suite, self._environment = suite, environment or Environment()
        self._loaders = _loaders(suite, encoder, recipe, self._environment, ("id_val",))
        self.headline = HEADLINES[suite.task]

    def metrics(self, classifier: Classifier) -> Metrics:
        """The task's metrics, in evaluation mode at the current alpha.

        Raises Interrupted between two batches if a stop is requested. Several processes, which would have to
        agree, finish first.
        """

        def check(name: str, images: int) -> None:
            if self._environment.stop.asked and self._environment.processes.size == 1:
                raise Interrupted("stopped while validating")

        return self.measured(classifier, progress=check).metrics

    @torch.no_grad()
    def features(self, encoder: DualEncoder) -> tuple[Tensor, Tensor]:
        """Image features (N, E) of unit norm, and labels (N,), on the CPU, in evaluation mode."""
        (loader,) = self._loaders.values()
        with evaluating(encoder):
            own = [
                (
                    F.normalize(widen(encoder.encode_image(b.pixels.to(device_of(encoder)))), dim=-1).cpu(),
                    b.labels,
                )
                for b in loader
            ]
        found = [each for share in self._environment.processes.gather(own) for each in share]
        features, labels = zip(*found, strict=True)
        return torch.cat(features), torch.cat(labels)

    def measured(
        self, classifier: Classifier, *, progress: Callable[[str, int], None] | None = None
    ) -> Measured:
        """The task's metrics and each image's pseudo-value; `progress` is called with each batch."""
        processes = self._environment.processes
        measures = self._suite.measures(classifier, self._loaders, processes=processes)
        ((name, measure),) = measures.items()
        return measured(classifier.encoder, measure, name=name, progress=progress, processes=processes)


class _Progress:
    """Turns the images of a sweep into `Evaluated`; `sizes` is set name -> (images, alphas)."""

    def __init__(
        self, report: Callable[[Evaluated], None], method: str, sizes: Mapping[str, tuple[int, int]]
    ) -> None:
        self._report, self._method, self._sizes = report, method, sizes
        self._total = sum(images * alphas for images, alphas in sizes.values())
        self._name: str | None = None
        self._done, self._since = 0, time.monotonic()

    def __call__(self, name: str, images: int) -> None:
        if name != self._name:
            self.finish()
            self._name = name
        self._done += images
        self._call(None)

    def finish(self) -> None:
        self._call(time.monotonic() - self._since)
        self._name, self._since = None, time.monotonic()

    def _call(self, seconds: float | None) -> None:
        if self._name is not None:
            sizes = self._sizes[self._name]
            self._report(Evaluated(self._method, self._name, *sizes, self._done, self._total, seconds))


def _loaders(
    suite: Suite, encoder: DualEncoder, recipe: Recipe, environment: Environment, roles: tuple[str, ...]
) -> Mapping[tuple[str, str], EvaluationBatches]:
    return eval_loaders(
        suite,
        encoder.preprocess,
        roles=roles,
        batch_size=recipe.eval_batch_size,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=environment.memory,
        processes=environment.processes,
    )
