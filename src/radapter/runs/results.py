"""results.json: the report of a run or a comparison, as one type.

Accuracies are fractions. A row is one method at its chosen alpha; the sweep holds every alpha of every trained
method. Over several seeds each figure is a mean, and `spread` has the standard deviations.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from radapter.errors import RunError
from radapter.evaluation import HEADLINES, Baseline, Headline, Metrics, TaskName, harmonic_mean
from radapter.manifests import check_recorded
from radapter.schemas import read_as
from radapter.storage import write_json
from radapter.tasks.suite import TESTED, Role

RESULTS = "results.json"
SCHEMA: Literal[3] = 3
"""Version 2 had two forms: one for runs, and one for comparisons, with standard deviations under `..._std`."""

ID_VAL = "id_val/id_val"
"""ROLE/NAME of the validation set."""

Mean = Literal["id_mean", "ood_mean", "kept", "harmonic_mean"]
MEANS: dict[Role, Mean] = {"id": "id_mean", "ood": "ood_mean", "transfer": "kept"}
"""Role -> the name of the mean of the task's figure over its sets."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Value(_Part):
    """A figure and its standard deviation over seeds; None for one seed."""

    mean: float
    std: float | None = None


class Selection(_Part):
    """How alpha was chosen: by a rule in words on the n images of `split`, or None if it was given.

    Scores on ID validation are fractions, None if alpha was given. `paired_error` is the standard error of
    `best_score - score`, two scores on the same images.
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
        figures = (self.score, self.best_alpha, self.best_score, self.paired_error)
        if len({figure is None for figure in figures}) > 1:
            raise ValueError("score, best_alpha, best_score and paired_error must be given together")
        return self

    @property
    def gain(self) -> float:
        """The best score minus the chosen one."""
        return (self.best_score or 0.0) - (self.score or 0.0)


class _Sets(_Part):
    """Metrics of every test set, by role and name, and the means of the task's figure over the sets of each role."""

    id: dict[str, Metrics]
    ood: dict[str, Metrics]
    transfer: dict[str, Metrics] = Field(default_factory=dict)
    id_mean: float
    ood_mean: float | None
    kept: float | None = None
    harmonic_mean: float | None = None

    def sets(self, role: Role) -> dict[str, Metrics]:
        """The sets of a role."""
        found: dict[str, Metrics] = getattr(self, role)
        return found


class Spread(_Sets):
    """Standard deviations over seeds: of the means, and of the task's figure and its parts on each set."""

    id_val: Metrics | None = None


class Figures(_Sets):
    """One method at one alpha.

    kept: over transfer sets, what the model can still do besides its task. harmonic_mean: of `id_mean` and `kept`,
    which is H of base-to-novel if the transfer sets hold novel classes; over seeds, the mean of each seed's H.
    harmonic_of_means: H of the means over seeds. This and `spread` are None for one seed.
    """

    method: str
    alpha: float
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
        """A mean over sets, with its spread; None if there is no such set."""
        mean: float | None = getattr(self, of)
        std: float | None = None if self.spread is None else getattr(self.spread, of)
        return None if mean is None else Value(mean=mean, std=std)

    def value(self, role: Role, name: str, metric: str) -> Value | None:
        """A metric of one set, with its spread; None if the set has no such metric."""
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
        """All fields except `method`, for a row at this alpha."""
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
        """Computes the means; the default headline is that of classification."""
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
        """Inverse of `by_key`."""
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
    """Effective and relative robustness after Taori et al.; see `comparison.over_seeds`."""

    effective: Value
    relative: Value


class Row(Figures):
    """One method at its chosen alpha, the mean of `alphas` over seeds.

    selections: None for the zero-shot model. forgetting: by set, the task's figure of the zero-shot model minus
    that of the row. seconds: training time, without evaluation and steps that an interruption lost. step_bytes:
    memory of a training step beyond the weights: activations, gradients, moments; in one process.
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
        """How alpha was chosen; None over several seeds."""
        return self.selections[0] if len(self.selections) == 1 else None


class RateGrid(_Part):
    """The learning rates that were tried for one training, and the choice among them.

    learning_rates: rate -> metrics on ID validation at alpha 1, ascending; None if training diverged. best: the
    rate with the highest score, by the task's tie-breaker if equal. chosen: the smallest rate within one paired
    standard error of the best. at_edge: whether the best of several is the first or last, so that a better one may
    lie outside.
    """

    learning_rates: dict[float, Metrics | None]
    best: float
    chosen: float
    at_edge: bool


class Interval(_Part):
    """95 % of the bootstrap's figures; an end is None if the level is not reached there."""

    low: float | None
    high: float | None


class Figure(_Part):
    """One figure over seeds, None at a level that a curve does not reach.

    each: of each seed. mean and std: over the seeds that have one; None if the mean curve does not reach the level.
    """

    each: list[float | None]
    mean: float | None
    std: float | None = None
    interval: Interval | None = None


class MethodLevels(_Part):
    """One method at the ID levels.

    ood: at each level. difference: from the method `Levels.against` at each level, by seed. hypervolume: the share
    of what a perfect model dominates beyond the reference point.
    """

    ood: list[Figure]
    difference: list[Figure] | None
    hypervolume: Figure


class Levels(_Part):
    """OOD of every trained method at fixed ID levels; `comparison.levels` computes it.

    fractions: of the best ID gain. id: the levels, absolute; empty if no method gained any ID. best, best_id: the
    method with the highest mean ID among those that set the levels, and that ID. reference: (ID, OOD) of the
    hypervolume, means over seeds. resamples: of the bootstrap; None without figures of single images. against: the
    method that differences are from.
    """

    fractions: list[float]
    id: list[float]
    zero_shot_id: float
    best: str
    best_id: float
    reference: tuple[float, float]
    resamples: int | None
    against: str | None
    methods: dict[str, MethodLevels]


class Results(_Part):
    """The whole file.

    evaluation_seconds: for all sets, alphas and methods; the `seconds` of rows do not include it. levels: None
    unless methods were compared on OOD sets. search: training -> its learning rates, in a comparison. diverged:
    method -> why it has no row. standard_models: the line that robustness is measured against.
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
    search: dict[str, RateGrid] = Field(default_factory=dict)
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
        """The figure of the task."""
        return HEADLINES[self.task]

    @property
    def seed(self) -> int:
        """The first seed."""
        return self.seeds[0]

    def sets(self, role: Role) -> list[str]:
        """The names of a role's sets."""
        return list(self.rows[0].sets(role))

    def row(self, method: str) -> Row:
        """The row of a method. Raises KeyError if there is none."""
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(method)

    def write(self, folder: Path) -> Path:
        """Writes `results.json` atomically and returns its path."""
        self.write_file(folder / RESULTS)
        return folder / RESULTS

    def write_file(self, file: Path) -> None:
        """Writes a file of another name atomically."""
        write_json(file, self.model_dump(mode="json", by_alias=True))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads `results.json`. Raises RunError if another version wrote it, and DamagedError if it differs from the
        folder's manifest or does not follow the schema."""
        check_recorded(folder, RESULTS)
        return read_as(folder / RESULTS, cls, reads=(SCHEMA,))

    @classmethod
    def read_if_known(cls, folder: Path) -> Self | None:
        """As `read`; None if there is no `results.json`, or another version wrote it."""
        try:
            return cls.read(folder) if (folder / RESULTS).is_file() else None
        except RunError:
            return None
