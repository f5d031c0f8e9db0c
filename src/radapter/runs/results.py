"""results.json: what a run or a comparison reports, as one type.

Accuracies are fractions. A row is one method at its chosen alpha; the sweep holds every alpha of every trained
method. Over several seeds each figure is a mean, and `spread` has the standard deviations.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from radapter.evaluation import HEADLINES, Baseline, Headline, Metrics, TaskName, harmonic_mean
from radapter.manifests import check_recorded
from radapter.runs.levels import Levels
from radapter.schemas import read_as
from radapter.storage import write_json
from radapter.tasks.suite import TESTED, Role

RESULTS = "results.json"
SCHEMA: Literal[3] = 3
"""Version 2 had two forms: a run's, and a comparison's with standard deviations under names that end in `_std`."""

ID_VAL = "id_val/id_val"
"""ROLE/NAME of the validation set."""

Mean = Literal["id_mean", "ood_mean", "kept", "harmonic_mean"]
MEANS: dict[Role, Mean] = {"id": "id_mean", "ood": "ood_mean", "transfer": "kept"}
"""The mean of the task's figure over the sets of each role."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Part):
    """A figure and its standard deviation over seeds; None for one seed."""

    mean: float
    std: float | None = None


class Selection(_Part):
    """What chose alpha.

    Attributes:
        split: "id_val", or None where alpha was given.
        rule: in words.
        n: images it was chosen on.
        score: of the chosen alpha on ID validation, a fraction; this and what follows only where a rule chose it.
        best_alpha: the alpha with the highest score there.
        best_score: its score.
        paired_error: standard error of `best_score - score`, two scores on the same images.
    """

    split: Literal["id_val"] | None
    rule: str
    n: int
    score: float | None = None
    best_alpha: float | None = None
    best_score: float | None = None
    paired_error: float | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (
            len({each is None for each in (self.score, self.best_alpha, self.best_score, self.paired_error)})
            > 1
        ):
            raise ValueError("score, best_alpha, best_score and paired_error must be given together")
        return self

    @property
    def gain(self) -> float:
        """What the best alpha scores more than the chosen one."""
        return (self.best_score or 0.0) - (self.score or 0.0)


class _Sets(_Part):
    """Metrics of every test set, by role and name."""

    id: dict[str, Metrics]
    ood: dict[str, Metrics]
    transfer: dict[str, Metrics] = Field(default_factory=dict)

    def sets(self, role: Role) -> dict[str, Metrics]:
        """The sets of a role."""
        found: dict[str, Metrics] = getattr(self, role)
        return found


class Spread(_Sets):
    """Standard deviations over seeds: of the means, and of the task's figure and its parts on each set."""

    id_val: Metrics | None = None
    id_mean: float
    ood_mean: float | None
    kept: float | None = None
    harmonic_mean: float | None = None


class Figures(_Sets):
    """One method at one alpha: metrics of every set, and means of the task's figure over the sets of each role.

    Attributes:
        kept: the mean over the transfer sets, None where there is none: what the model can still do besides its
            task. At alpha 0 it is the zero-shot model's.
        harmonic_mean: of `id_mean` and `kept`: with novel classes as transfer, base-to-novel's H. Over seeds, the
            mean of each seed's.
        harmonic_of_means: that of the means over seeds; None for one seed.
        spread: None for one seed.
    """

    method: str
    alpha: float
    id_mean: float
    ood_mean: float | None
    kept: float | None = None
    harmonic_mean: float | None = None
    harmonic_of_means: float | None = None
    spread: Spread | None = None

    @model_validator(mode="after")
    def _means_fit_sets(self) -> Self:
        for mean, sets, words in (("ood_mean", self.ood, "OOD"), ("kept", self.transfer, "transfer")):
            value = getattr(self, mean)
            if (value is None) == bool(sets):
                raise ValueError(f"{mean} must be null without {words} sets only. Got {value}.")
        return self

    def mean(self, of: Mean) -> Value | None:
        """A mean over sets, with its spread; None where there is no such set."""
        mean: float | None = getattr(self, of)
        std: float | None = None if self.spread is None else getattr(self.spread, of)
        return None if mean is None else Value(mean=mean, std=std)

    def value(self, role: Role, name: str, metric: str) -> Value | None:
        """A metric of one set, with its spread; None where the set has no such metric."""
        mean = self.sets(role)[name].get(metric)
        spread = {} if self.spread is None else self.spread.sets(role).get(name, {})
        return None if mean is None else Value(mean=mean, std=spread.get(metric))

    def average(self, role: Role, metric: str) -> float | None:
        """The mean of a metric over the sets of a role that have it."""
        known = [metrics[metric] for metrics in self.sets(role).values() if metric in metrics]
        return fmean(known) if known else None

    def all_sets(self) -> dict[str, Metrics]:
        """The test sets of every role, by name."""
        return self.id | self.ood | self.transfer

    def figures(self) -> dict[str, Any]:
        """What a row at this alpha takes over."""
        return {name: getattr(self, name) for name in Figures.model_fields if name != "method"}


class SweepRow(Figures):
    """One method at one alpha of its sweep."""

    id_val: Metrics | None

    @classmethod
    def of(
        cls,
        method: str,
        alpha: float,
        *,
        headline: Headline | None = None,
        id_val: Metrics | None,
        id: dict[str, Metrics],
        ood: dict[str, Metrics],
        transfer: dict[str, Metrics] | None = None,
    ) -> Self:
        """Fills in the means; None is the headline of classification."""
        headline = headline or HEADLINES["classification"]
        id_mean = headline.mean(id)
        kept = headline.mean(transfer) if transfer else None
        return cls(
            method=method,
            alpha=alpha,
            id_val=id_val,
            id=id,
            ood=ood,
            transfer=transfer or {},
            id_mean=id_mean,
            ood_mean=headline.mean(ood) if ood else None,
            kept=kept,
            harmonic_mean=None if kept is None else harmonic_mean(id_mean, kept),
        )

    @classmethod
    def of_keys(cls, method: str, alpha: float, found: Mapping[str, Metrics], *, headline: Headline) -> Self:
        """From "ROLE/NAME" -> metrics, as `by_key` gives it."""
        sets: dict[str, dict[str, Metrics]] = {role: {} for role in TESTED}
        for key, metrics in found.items():
            if key != ID_VAL:
                role, _, name = key.partition("/")
                sets[role][name] = metrics
        return cls.of(method, alpha, headline=headline, id_val=found.get(ID_VAL), **sets)

    def by_key(self) -> dict[str, Metrics]:
        """ "ROLE/NAME" -> metrics, of the validation set and of the test sets."""
        tested = {f"{role}/{name}": of for role in TESTED for name, of in self.sets(role).items()}
        return tested if self.id_val is None else {ID_VAL: self.id_val} | tested


class Robustness(_Part):
    """Robustness after Taori et al.; see `comparison.robustness`."""

    effective: Value
    relative: Value


class Row(Figures):
    """One method at its chosen alpha.

    Attributes:
        alphas: of each seed; `alpha` is their mean.
        selections: what chose alpha at each seed; None for the zero-shot model.
        forgetting: of the task's figure, lost against the zero-shot model, per set; negative where it gained.
        seconds: of training; evaluation is not in it. An interrupted training is counted up to the checkpoint that
            it went on from, and from there.
        seconds_per_epoch: the same, over its epochs.
        step_bytes: that a training step keeps beyond the weights: activations, gradients, moments; of one process.
        robustness: where the results have a line of standard models.
    """

    alphas: list[float] = Field(min_length=1)
    selections: list[Selection | None]
    trained_parameters: int
    learning_rate: float | None
    forgetting: dict[str, float]
    seconds: float
    seconds_per_epoch: float | None = None
    step_bytes: int | float | None = None
    robustness: Robustness | None = None

    @property
    def selection(self) -> Selection | None:
        """What chose alpha; None over several seeds."""
        return self.selections[0] if len(self.selections) == 1 else None


class RateSearch(_Part):
    """The search of one training's learning rate.

    Attributes:
        learning_rates: each -> metrics on ID validation at alpha 1, ascending; None where training diverged.
        best: the rate with the highest score; of equals, the one that the task's tie-breaker prefers.
        chosen: the smallest rate whose score is within one paired standard error of the best.
        at_edge: whether the best rate is the first or the last of several, so that a better one may lie outside.
    """

    learning_rates: dict[float, Metrics | None]
    best: float
    chosen: float
    at_edge: bool


class Results(_Part):
    """The whole file.

    Attributes:
        seeds: of the run, or of the comparison.
        levels: OOD at fixed ID levels, where several methods were compared; None without OOD sets.
        evaluation_seconds: that evaluating all sets at all alphas took, of all methods; no row's `seconds` has it.
        search: training -> the search of its learning rate, of a comparison.
        diverged: method -> why it has no row: its training diverged at every rate, or at a seed.
        standard_models: the line that robustness is measured against.
    """

    schema_version: Literal[3] = Field(default=SCHEMA, alias="schema")
    model: str
    fingerprint: str
    task: TaskName = "classification"
    seeds: list[int] = Field(min_length=1)
    selection: Selection
    rows: list[Row] = Field(min_length=1)
    sweep: list[SweepRow]
    evaluation_seconds: float | None = None
    levels: Levels | None = None
    search: dict[str, RateSearch] = Field(default_factory=dict)
    diverged: dict[str, str] = Field(default_factory=dict)
    standard_models: Baseline | None = None

    @model_validator(mode="after")
    def _rows_are_alike(self) -> Self:
        metric = self.headline.metric
        for row in (*self.rows, *self.sweep):
            at = f"{row.method} at alpha {row.alpha:g}"
            for role in TESTED:
                if row.sets(role).keys() != self.rows[0].sets(role).keys():
                    raise ValueError(f"{at} must have the same {role} sets as the first row")
            if any(metric not in metrics for metrics in row.all_sets().values()):
                raise ValueError(f"{at} must have {metric} of every set")
        for row in self.rows:
            if not len(row.alphas) == len(row.selections) == len(self.seeds):
                raise ValueError(f"{row.method} must have an alpha and a selection of each seed")
        return self

    @property
    def headline(self) -> Headline:
        """The figure that counts."""
        return HEADLINES[self.task]

    @property
    def seed(self) -> int:
        """The first seed."""
        return self.seeds[0]

    def sets(self, role: Role) -> list[str]:
        """The names of a role's sets."""
        return list(self.rows[0].sets(role))

    def row(self, method: str) -> Row:
        """The row of that method; KeyError where there is none."""
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(method)

    def write(self, folder: Path) -> Path:
        """Writes `results.json` into `folder`, whole."""
        write_json(folder / RESULTS, self.model_dump(mode="json", by_alias=True))
        return folder / RESULTS

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads `results.json` of `folder`.

        Raises:
            RunError: If the file is of another version.
            DamagedError: If it differs from its record in the folder's manifest, or does not follow the schema.
        """
        check_recorded(folder, RESULTS)
        return read_as(folder / RESULTS, cls, reads=(SCHEMA,))
