"""What a trained method is worth: every set at every alpha, the alpha that ID validation chooses, the table's row.

`Bench` evaluates a `Trained`; `choose_alpha` sees the metrics on ID validation alone; `row_at` makes the row.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple

from torch import Tensor

from radapter.data import Memory
from radapter.errors import ConfigError
from radapter.evaluation import (
    ALPHAS,
    HEADLINES,
    Headline,
    Measured,
    Metrics,
    TaskName,
    smallest_within_paired_error,
    sweep,
)
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.runs.results import ID_VAL, Row, Selection, SweepRow
from radapter.tasks.suite import TESTED
from radapter.tasks.suite import ROLES, Suite, eval_loaders
from radapter.runs.swept import Swept, pseudo_values_by_key
from radapter.zeroshot import Classifier
from radapter.runs.outcome import Trained
from radapter.zeroshot import LinearHead





class Evaluated(NamedTuple):
    """How far the evaluation of several sets at several alphas is.

    Attributes:
        method: whose row is measured.
        name: of the set, such as "ood/sketch".
        images: of the set; with several processes, this one's share.
        alphas: at how many the set is evaluated.
        done: images evaluated so far, over all sets, once for each alpha.
        total: of these, in all.
        seconds: that the set took; None while it is being evaluated.
    """

    method: str
    name: str
    images: int
    alphas: int
    done: int
    total: int
    seconds: float | None


class Bench:
    """The evaluation sets of a suite, decoded once and replayed for every method.

    Args:
        suite: its validation and test sets are read.
        preprocess: picture to tensor.
        batch_size: pictures a batch.
        max_bad: fraction of a set that may be unreadable.
        workers: decoding threads.
        memory: for preprocessed pictures.
        progress: told how far the evaluation is.
        processes: share the sets; what is found, all of them get.
    """

    def __init__(
        self,
        suite: Suite,
        preprocess: Callable[..., Tensor],
        *,
        batch_size: int = 256,
        max_bad: float = 0.01,
        workers: int = 0,
        memory: Memory | None = None,
        progress: Callable[[Evaluated], None] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._suite = suite
        self._progress = progress
        self._processes = processes
        self._loaders = eval_loaders(
            suite,
            preprocess,
            roles=ROLES,
            batch_size=batch_size,
            max_bad=max_bad,
            workers=workers,
            memory=memory,
            processes=processes,
        )
        self._zero_shot: dict[str, Tensor] = {}  # what the model as it came predicts, by set
        self._saw_zero_shot = False

    @property
    def task(self) -> TaskName:
        """What the sets are for."""
        return self._suite.task

    def zero_shot(self, encoder: DualEncoder) -> Swept:
        """The model as it is, as the row "zero-shot" at alpha 0."""
        return self.states("zero-shot", encoder, lambda _: nullcontext(), (0.0,))

    def states(
        self,
        method: str,
        encoder: DualEncoder,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        *,
        head: LinearHead | None = None,
    ) -> Swept:
        """The rows of an encoder, one for each state that it can be put in.

        Args:
            method: the rows' name.
            encoder: is measured.
            at: a block in which it is in the state of that alpha.
            alphas: each in [0, 1].
            head: classifies in every state; None for the zero-shot head.
        """
        return self._swept(method, Classifier(encoder, head), at, alphas, None)

    def sweep(
        self,
        trained: Trained,
        zero_shot: Swept | None = None,
        alphas: Sequence[float] = ALPHAS,
        *,
        tested: Callable[[Mapping[float, Measured]], Collection[float]] | None = None,
    ) -> Swept:
        """The rows of one method at every alpha.

        Args:
            trained: the method's outcome.
            zero_shot: what alpha 0 gives; it is the same for every method and is not computed again.
            alphas: each in [0, 1]; ID validation is evaluated at all of them.
            tested: the alphas of the test sets, from what ID validation gives at each alpha; None for `alphas`.
        """
        with trained.interpolation() as interpolation:
            if not self._saw_zero_shot:  # its row was read from a file
                with interpolation.at(0.0):
                    self._metrics(
                        "zero-shot", trained.classifier, lambda _: nullcontext(), (0.0,), {}, {}, ROLES
                    )
            return self._swept(
                trained.method, trained.classifier, interpolation.at, alphas, zero_shot, tested
            )

    def _swept(
        self,
        method: str,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        zero_shot: Swept | None,
        tested: Callable[[Mapping[float, Measured]], Collection[float]] | None = None,
    ) -> Swept:
        start = time.monotonic()
        known = {} if zero_shot is None else {0.0: zero_shot.rows[0].by_key()}
        pseudo_values: dict[tuple[float, str], Tensor] = {}
        if zero_shot is not None and 0.0 in alphas:
            pseudo_values = {(0.0, name): values for name, values in zero_shot.of_alpha(0.0).items()}
        together = ROLES if tested is None else ("id_val",)
        found = self._metrics(method, classifier, at, alphas, known, pseudo_values, together)
        validation = {alpha: metrics[ID_VAL] for alpha, metrics in found.items() if ID_VAL in metrics}
        if tested is not None:
            validated = {a: Measured(m, pseudo_values[a, ID_VAL]) for a, m in validation.items()}
            chosen = sorted(tested(validated))
            of_tests = self._metrics(method, classifier, at, chosen, known, pseudo_values, TESTED)
            found = {alpha: found[alpha] | metrics for alpha, metrics in of_tests.items()}
        rows = [
            SweepRow.of_keys(method, alpha, metrics, headline=HEADLINES[self._suite.task])
            for alpha, metrics in found.items()
        ]
        values = pseudo_values_by_key(pseudo_values)
        return Swept(rows, validation, values, seconds=time.monotonic() - start)

    def _metrics(
        self,
        method: str,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        known: Mapping[float, Mapping[str, Metrics]],
        pseudo_values: dict[tuple[float, str], Tensor],
        roles: Sequence[str],
    ) -> dict[float, dict[str, Metrics]]:
        loaders = {key: loader for key, loader in self._loaders.items() if key[0] in roles}
        measures = self._suite.measures(classifier, loaders, self._zero_shot, self._processes)
        sizes = {
            f"{role}/{name}": (
                self._processes.shares(len(loader.dataset))[self._processes.rank],
                sum(f"{role}/{name}" not in known.get(alpha, {}) for alpha in alphas),
            )
            for (role, name), loader in loaders.items()
        }
        progress = _Progress(self._progress, method, sizes)
        found = sweep(
            classifier.encoder,
            at,
            measures,
            alphas,
            known=known,
            pseudo_values=pseudo_values,
            progress=progress,
            processes=self._processes,
        )
        progress.finish()
        self._saw_zero_shot |= 0.0 in alphas and 0.0 not in known
        return found


class _Progress:
    """Turns the images of a sweep into `Evaluated`; `sizes` is set name -> (images, alphas)."""

    def __init__(
        self, tell: Callable[[Evaluated], None] | None, method: str, sizes: Mapping[str, tuple[int, int]]
    ) -> None:
        self._tell, self._method, self._sizes = tell, method, sizes
        self._total = sum(images * alphas for images, alphas in sizes.values())
        self._name: str | None = None
        self._done, self._since = 0, time.monotonic()

    def __call__(self, name: str, images: int) -> None:
        if name != self._name:
            self.finish()
            self._name = name
        self._done += images
        self._say(None)

    def finish(self) -> None:
        """The set that was evaluated last is done."""
        self._say(time.monotonic() - self._since)
        self._name, self._since = None, time.monotonic()

    def _say(self, seconds: float | None) -> None:
        if self._tell is not None and self._name is not None:
            images, alphas = self._sizes[self._name]
            self._tell(Evaluated(self._method, self._name, images, alphas, self._done, self._total, seconds))


def bench_of(
    suite: Suite,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    memory: Memory,
    progress: Callable[[Evaluated], None] | None = None,
    processes: Processes = ALONE,
) -> Bench:
    """The bench of a suite with the loading settings of a recipe."""
    return Bench(
        suite,
        encoder.preprocess,
        batch_size=recipe.eval_batch_size,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=memory,
        progress=progress,
        processes=processes,
    )


def row_at(
    alpha: float,
    sweep: Sequence[SweepRow],
    zero_shot: SweepRow,
    *,
    trained: Trained,
    method: str | None = None,
    headline: Headline,
    selection: Selection | None = None,
) -> Row:
    """The table's row of one method at one alpha of its sweep.

    Args:
        alpha: one of the sweep's.
        sweep: the method's rows.
        zero_shot: what forgetting is measured against.
        trained: the method's outcome.
        method: the row's name, where it is not the trained method's (WiSE-FT stands on `full`).
        headline: of the task.
        selection: what chose alpha.
    """
    at = next(row for row in sweep if row.alpha == alpha)
    return Row(
        method=method or trained.method,
        trained_parameters=trained.trained_parameters,
        learning_rate=trained.learning_rate,
        forgetting=headline.forgetting(zero_shot.all_sets(), at.all_sets()),
        seconds=trained.seconds,
        seconds_per_epoch=trained.seconds / trained.epochs,
        step_bytes=trained.step_bytes,
        alphas=[alpha],
        selections=[selection],
        **at.figures(),
    )


def zero_shot_row(zero_shot: SweepRow) -> Row:
    """The table's row of the model as it came."""
    return Row(
        method="zero-shot",
        trained_parameters=0,
        learning_rate=None,
        forgetting=dict.fromkeys(zero_shot.all_sets(), 0.0),
        seconds=0.0,
        alphas=[zero_shot.alpha],
        selections=[None],
        **zero_shot.figures(),
    )
