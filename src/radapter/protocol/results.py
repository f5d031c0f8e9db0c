"""results.json: what a run reports, its schema and its means.

Accuracies are fractions. A row stands at one alpha; the sweep holds every alpha of every trained method. The file
says on which split alpha was chosen, by which rule and on how many images.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from radapter.evaluation import HEADLINES, Headline, Metrics, TaskName, harmonic_mean
from radapter.manifests import check_recorded
from radapter.protocol.levels import Levels
from radapter.schemas import read_as
from radapter.storage import write_json

RESULTS = "results.json"
SCHEMA: Literal[2] = 2
"""Version 1 compared methods over ranges of ID that differed from pair to pair, and called `kept` transfer_mean."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Selection(_Part):
    """What chose alpha.

    Attributes:
        split: always "id_val", or None where alpha was given.
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


class _Figures(_Part):
    """The metrics of every set, and the means of the task's figure over the sets of each role.

    Attributes:
        transfer: of sets with other classes than the training set's.
        kept: the mean over the transfer sets, None where there is none: what the model can still do besides its
            task. At alpha 0 it is the zero-shot model's.
        harmonic_mean: of `id_mean` and `kept`: with novel classes as transfer, base-to-novel's H.
    """

    method: str
    alpha: float
    id: dict[str, Metrics]
    ood: dict[str, Metrics]
    transfer: dict[str, Metrics] = Field(default_factory=dict)
    id_mean: float
    ood_mean: float | None
    kept: float | None = None
    harmonic_mean: float | None = None

    @model_validator(mode="after")
    def _ood_mean_is_of_ood_sets(self) -> Self:
        if (self.ood_mean is None) == bool(self.ood):
            raise ValueError(f"ood_mean must be null without OOD sets only. Got {self.ood_mean}.")
        return self

    def figures(self) -> dict[str, Any]:
        """What a row at this alpha takes over."""
        return {name: getattr(self, name) for name in _Figures.model_fields if name != "method"}


class SweepRow(_Figures):
    """One method at one alpha."""

    id_val: Metrics | None

    @classmethod
    def of(
        cls,
        method: str,
        alpha: float,
        *,
        headline: Headline = HEADLINES["classification"],
        id_val: Metrics | None,
        id: dict[str, Metrics],
        ood: dict[str, Metrics],
        transfer: dict[str, Metrics] | None = None,
    ) -> Self:
        """Fills in the means."""
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


class Row(_Figures):
    """One method at its chosen alpha.

    Attributes:
        forgetting: of the task's figure, lost against the zero-shot model, per set; negative where it gained.
        seconds: of training; evaluation is not in it. An interrupted training is counted up to the checkpoint that
            it went on from, and from there.
        seconds_per_epoch: the same, over its epochs.
        step_bytes: that a training step keeps beyond the weights: activations, gradients, moments; of one process.
        selection: what chose its alpha; None of the zero-shot model.
    """

    trained_parameters: int
    learning_rate: float | None
    forgetting: dict[str, float]
    seconds: float
    seconds_per_epoch: float | None = None
    step_bytes: int | None = None
    selection: Selection | None = None


class Results(_Part):
    """The whole file.

    Attributes:
        levels: OOD at fixed ID levels, where several methods were compared; None without OOD sets.
        evaluation_seconds: that evaluating all sets at all alphas took, of all methods; no row's `seconds` has it.
    """

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")
    model: str
    fingerprint: str
    task: TaskName = "classification"
    seed: int
    selection: Selection
    rows: list[Row]
    sweep: list[SweepRow]
    evaluation_seconds: float | None = None
    levels: Levels | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def row(self, method: str) -> Row:
        """The row of that method; KeyError where there is none."""
        for row in self.rows:
            if row.method == method:
                return row
        raise KeyError(method)

    def as_dict(self) -> dict[str, object]:
        """As it stands in the file."""
        return self.model_dump(mode="json", by_alias=True)

    def write(self, folder: Path) -> Path:
        """Writes `results.json` into `folder`, whole."""
        write_json(folder / RESULTS, self.as_dict())
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
