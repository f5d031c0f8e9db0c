"""What a trained method is worth: every set at every alpha, the alpha that ID validation chooses, the table's row.

`Bench` evaluates a `Trained`; `choose_alpha` sees the metrics on ID validation alone; `row_at` makes the row.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

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
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import Row, Selection, SweepRow
from radapter.protocol.suite import ROLES, Suite, eval_loaders
from radapter.protocol.swept import Swept, pseudo_values_by_key
from radapter.protocol.trained import Classifier, Trained
from radapter.zeroshot import LinearHead

_WITHIN = "smallest alpha within one paired standard error of the best {}"


class Bench:
    """The evaluation sets of a suite, decoded once and replayed for every method.

    Args:
        suite: its validation and test sets are read.
        preprocess: picture to tensor.
        batch_size: pictures a batch.
        max_bad: fraction of a set that may be unreadable.
        workers: decoding threads.
        memory: for preprocessed pictures.
        progress: told of (set name, images) as they are evaluated.
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
        progress: Callable[[str, int], None] | None = None,
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
        self, trained: Trained, zero_shot: Swept | None = None, alphas: Sequence[float] = ALPHAS
    ) -> Swept:
        """The rows of one method at every alpha.

        Args:
            trained: the method's outcome.
            zero_shot: what alpha 0 gives; it is the same for every method and is not computed again.
            alphas: each in [0, 1].
        """
        with trained.interpolation() as interpolation:
            if not self._saw_zero_shot:  # its row was read from a file
                with interpolation.at(0.0):
                    self._metrics(trained.classifier, lambda _: nullcontext(), (0.0,), {}, {})
            return self._swept(trained.method, trained.classifier, interpolation.at, alphas, zero_shot)

    def _swept(
        self,
        method: str,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        zero_shot: Swept | None,
    ) -> Swept:
        known = {} if zero_shot is None else {0.0: _by_set(zero_shot.rows[0])}
        pseudo_values: dict[tuple[float, str], Tensor] = {}
        if zero_shot is not None and 0.0 in alphas:
            pseudo_values = {(0.0, name): values for name, values in zero_shot.of_alpha(0.0).items()}
        found = self._metrics(classifier, at, alphas, known, pseudo_values)
        rows = [
            SweepRow.of(
                method,
                alpha,
                headline=HEADLINES[self._suite.task],
                id_val=next(iter(_of_role("id_val", metrics).values()), None),
                id=_of_role("id", metrics),
                ood=_of_role("ood", metrics),
                transfer=_of_role("transfer", metrics),
            )
            for alpha, metrics in found.items()
        ]
        return Swept(rows, pseudo_values_by_key(pseudo_values))

    def _metrics(
        self,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        known: Mapping[float, Mapping[str, Metrics]],
        pseudo_values: dict[tuple[float, str], Tensor],
    ) -> dict[float, dict[str, Metrics]]:
        measures = self._suite.measures(classifier, self._loaders, self._zero_shot, self._processes)
        found = sweep(
            classifier.encoder,
            at,
            measures,
            alphas,
            known=known,
            pseudo_values=pseudo_values,
            progress=self._progress,
            processes=self._processes,
        )
        self._saw_zero_shot |= 0.0 in alphas and 0.0 not in known
        return found


def bench_of(
    suite: Suite,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    memory: Memory,
    progress: Callable[[str, int], None] | None = None,
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


def choose_alpha(
    validated: Mapping[float, Measured],
    alpha: float | Literal["auto"],
    *,
    headline: Headline = HEADLINES["classification"],
) -> tuple[float, Selection]:
    """The alpha a row stands at, and what chose it.

    Args:
        validated: alpha -> what ID validation gives; test sets are not even handed over.
        alpha: a number, or "auto" for the rule of one paired standard error on ID validation.
        headline: of the task.

    Raises:
        ConfigError: "auto" without ID validation.
    """
    if alpha != "auto":
        return alpha, Selection(split=None, rule=f"alpha given as {alpha:g}", n=0)
    if not validated:
        raise ConfigError("adapter.alpha auto needs data.id_val. Give it, or a number for adapter.alpha.")
    choice = smallest_within_paired_error(
        list(validated),
        [headline.score(found.metrics) for found in validated.values()],
        [found.pseudo_values for found in validated.values()],
    )
    return choice.value, Selection(
        split="id_val",
        rule=_WITHIN.format(headline.label),
        n=int(validated[choice.value].metrics["n"]),
        score=choice.score,
        best_alpha=choice.best,
        best_score=choice.best_score,
        paired_error=choice.error,
    )


def row_at(
    alpha: float,
    sweep: Sequence[SweepRow],
    zero_shot: SweepRow,
    *,
    trained: Trained,
    method: str | None = None,
    headline: Headline = HEADLINES["classification"],
) -> Row:
    """The table's row of one method at one alpha of its sweep.

    Args:
        alpha: one of the sweep's.
        sweep: the method's rows.
        zero_shot: what forgetting is measured against.
        trained: the method's outcome.
        method: the row's name, where it is not the trained method's (WiSE-FT stands on `full`).
        headline: of the task.
    """
    at = next(row for row in sweep if row.alpha == alpha)
    return Row(
        method=method or trained.method,
        trained_parameters=trained.trained_parameters,
        learning_rate=trained.learning_rate,
        forgetting=headline.forgetting(_of_all(zero_shot), _of_all(at)),
        seconds=trained.seconds,
        seconds_per_epoch=trained.seconds / trained.epochs,
        step_bytes=trained.step_bytes,
        **at.figures(),
    )


def zero_shot_row(zero_shot: SweepRow) -> Row:
    """The table's row of the model as it came."""
    return Row(
        method="zero-shot",
        trained_parameters=0,
        learning_rate=None,
        forgetting=dict.fromkeys(_of_all(zero_shot), 0.0),
        seconds=0.0,
        **zero_shot.figures(),
    )


def _of_role(role: str, metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    return {name.removeprefix(f"{role}/"): m for name, m in metrics.items() if name.startswith(f"{role}/")}


def _by_set(row: SweepRow) -> dict[str, Metrics]:
    roles = {"id": row.id, "ood": row.ood, "transfer": row.transfer}
    val = {} if row.id_val is None else {"id_val/id_val": row.id_val}
    return val | {f"{role}/{name}": m for role, sets in roles.items() for name, m in sets.items()}


def _of_all(row: SweepRow) -> dict[str, Metrics]:
    return row.id | row.ood | row.transfer
