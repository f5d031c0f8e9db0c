"""The alpha sweep of a method: its rows, the choice of alpha on ID validation, and the row of the table.

Pseudo-values, one figure per image, have a file of their own, `pseudo_values.safetensors`, with keys such as
"0.3/ood/sketch" (ALPHA/ROLE/NAME). With them two alphas, learning rates or methods are compared on the same images.
What a report shows of single images is in `answers.safetensors`, and what training moved in `moved.json`; older runs
lack both.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor

from radapter.errors import ConfigError
from radapter.evaluation import ALPHAS, Headline, Measured, Metrics, smallest_within_paired_error
from radapter.evaluation.calibration import TEMPERATURE
from radapter.manifests import check_recorded, record
from radapter.runs.movement import MOVED, MOVED_PARTS, Moved
from radapter.runs.results import ID_VAL, RESULTS, Results, Row, Selection, SweepRow
from radapter.runs.weights import Trained
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, write_json

SWEEP, ON_VALIDATION, PSEUDO_VALUES = "sweep.json", "on_validation.json", "pseudo_values.safetensors"
ANSWERS = "answers.safetensors"
FILES = (SWEEP, ON_VALIDATION, PSEUDO_VALUES)
FOR_REPORTS = (ANSWERS, MOVED)
NOTHING_SELECTED = Selection(split=None, rule="nothing was selected", n=0)
TestedAlphas = Literal["all", "chosen"] | Sequence[float]
"""See `AlphaRule`."""
Tests = Callable[[Mapping[float, Measured]], Collection[float]]
"""Results on ID validation by alpha -> the alphas of the test sets."""
_ROWS = TypeAdapter(list[SweepRow])
_SCHEMA = 1


class _OnValidation(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    seconds: float
    alphas: dict[float, Metrics]


@dataclass(frozen=True, eq=False)
class AlphaSweep:
    """One method at several alphas.

    rows: one per alpha at which the test sets were evaluated. validation: alpha -> metrics on ID validation, at
    every alpha; empty without ID validation. pseudo_values: `pseudo_value_key` -> (N,), float32, in the set's
    order of images. seconds: evaluation time. answers: `answers_by_key` of the test sets. moved: what training
    changed, by part of the model.
    """

    rows: list[SweepRow]
    validation: dict[float, Metrics]
    pseudo_values: dict[str, Tensor]
    seconds: float = 0.0
    answers: dict[str, Tensor] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)

    def of_alpha(self, alpha: float) -> dict[str, Tensor]:
        """The pseudo-values at one alpha: "ROLE/NAME" -> (N,)."""
        start = pseudo_value_key(alpha, "")
        return {k.removeprefix(start): v for k, v in self.pseudo_values.items() if k.startswith(start)}

    def on_validation(self) -> dict[float, Measured]:
        """Alpha -> metrics and pseudo-values on ID validation."""
        return {
            alpha: Measured(metrics, self.pseudo_values[pseudo_value_key(alpha, ID_VAL)])
            for alpha, metrics in self.validation.items()
        }

    def write(self, folder: Path) -> None:
        """Writes `FILES` and `FOR_REPORTS` into `folder`, which is created if needed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write_for_reports(folder)
        save_tensors(folder / PSEUDO_VALUES, self.pseudo_values)
        on_validation = {f"{alpha:g}": metrics for alpha, metrics in self.validation.items()}
        write_json(folder / ON_VALIDATION, {"seconds": self.seconds, "alphas": on_validation})
        write_json(folder / SWEEP, [row.model_dump(mode="json") for row in self.rows])
        record(folder, *FILES)

    def write_for_reports(self, folder: Path) -> None:
        """Writes `FOR_REPORTS` into `folder` and records them in its manifest."""
        save_tensors(folder / ANSWERS, self.answers)
        write_json(folder / MOVED, MOVED_PARTS.dump_python(self.moved))
        record(folder, *FOR_REPORTS)

    @classmethod
    def read(cls, folder: Path) -> "AlphaSweep | None":
        """Reads what `write` wrote; None if a file is missing."""
        if not all((folder / name).is_file() for name in FILES):
            return None
        check_recorded(folder, *FILES)
        found = read_as(folder / ON_VALIDATION, _OnValidation, reads=(_SCHEMA,))
        rows = read_as(folder / SWEEP, _ROWS, reads=(_SCHEMA,))
        values, answers = load_weights(folder / PSEUDO_VALUES), read_answers(folder)
        return cls(rows, found.alphas, values, found.seconds, answers, read_moved(folder))


def pseudo_value_key(alpha: float, name: str) -> str:
    """The key of a set's pseudo-values, such as "0.3/ood/sketch"; `name` is "ROLE/NAME"."""
    return f"{alpha:g}/{name}"


def temperatures_of(folder: Path, method: str) -> dict[float, float]:
    """Alpha -> the temperature of a method on ID validation, from results.json of a run, or the files of a training.

    Empty without ID validation, and for what an older radapter wrote. Raises DamagedError as `Results.read`.
    """
    if (folder / RESULTS).is_file():
        results = Results.read_if_known(folder)
        sweep = [] if results is None else results.sweep
        rows = [row for row in sweep if row.method == method or row.alpha == 0]
        validated = {row.alpha: row.id_val for row in rows if row.id_val is not None}
    else:
        swept = AlphaSweep.read(folder)
        validated = {} if swept is None else swept.validation
    return {alpha: of[TEMPERATURE] for alpha, of in validated.items() if TEMPERATURE in of}


def answers_by_key(found: Mapping[tuple[float, str], Measured]) -> dict[str, Tensor]:
    """The answers at each (alpha, "ROLE/NAME") under keys such as "0.3/ood/sketch/class", and what does not depend
    on alpha under keys such as "ood/sketch/label"."""
    by_key: dict[str, Tensor] = {}
    for (alpha, name), measured in found.items():
        if measured.answers is not None and name != ID_VAL:
            by_key |= {f"{name}/{field}": of for field, of in measured.answers.truth.items()}
            start = pseudo_value_key(alpha, name)
            by_key |= {f"{start}/{field}": of for field, of in measured.answers.model.items()}
    return by_key


def read_answers(folder: Path) -> dict[str, Tensor]:
    """Reads what `answers_by_key` returned; empty if an older version evaluated. Raises DamagedError."""
    if not (folder / ANSWERS).is_file():
        return {}
    check_recorded(folder, ANSWERS)
    return load_weights(folder / ANSWERS)


def read_moved(folder: Path) -> list[Moved]:
    """Reads what training moved; empty if an older version evaluated. Raises DamagedError."""
    if not (folder / MOVED).is_file():
        return []
    check_recorded(folder, MOVED)
    return read_as(folder / MOVED, MOVED_PARTS, reads=(_SCHEMA,))


@dataclass(frozen=True)
class AlphaRule:
    """How alpha is chosen, and the alphas at which the test sets are evaluated.

    alpha: a number, or "auto" for the smallest alpha within one paired standard error of the best on ID
    validation. tested: "all" for every alpha of the sweep; "chosen" for 0, the chosen alpha, the paper's and 1; or
    numbers, to which 0, the chosen alpha and 1 are added, because tables show them.
    """

    alpha: float | Literal["auto"] = "auto"
    tested: TestedAlphas = "all"

    @property
    def alphas(self) -> tuple[float, ...]:
        """The alphas of the sweep, including `alpha`."""
        return ALPHAS if self.alpha == "auto" else tuple(sorted({*ALPHAS, self.alpha}))

    def choose(self, validated: Mapping[float, Measured], headline: Headline) -> tuple[float, Selection]:
        """The alpha of the row, and how it was chosen from the results on ID validation by alpha.

        Raises ConfigError for "auto" without ID validation.
        """
        if self.alpha != "auto":
            return self.alpha, Selection(split=None, rule=f"alpha given as {self.alpha:g}", n=0)
        if not validated:
            raise ConfigError("select.alpha auto needs data.id_val. Give it, or a number for select.alpha.")
        choice = smallest_within_paired_error(
            list(validated),
            [headline.score(found.metrics) for found in validated.values()],
            [found.pseudo_values for found in validated.values()],
        )
        return choice.value, Selection(
            split="id_val",
            rule=f"smallest alpha within one paired standard error of the best {headline.label}",
            n=int(validated[choice.value].metrics["n"]),
            score=choice.score,
            best_alpha=choice.best,
            best_score=choice.best_score,
            paired_error=choice.error,
        )

    def tests(self, headline: Headline) -> Tests | None:
        """Chooses the alphas of the test sets; None for all."""
        if self.tested == "all":
            return None
        listed = (headline.paper_alpha,) if self.tested == "chosen" else tuple(map(float, self.tested))
        return lambda validated: {0.0, 1.0, *listed, self.choose(validated, headline)[0]}


def row_at(
    alpha: float,
    sweep: AlphaSweep,
    zero_shot: AlphaSweep,
    trained: Trained,
    headline: Headline,
    selection: Selection | None = None,
    method: str | None = None,
) -> Row:
    """The table's row of a method at one alpha of its sweep; forgetting is measured against `zero_shot`.

    `method` is the row's name if it differs from the training's (WiSE-FT shares the training of `full`).
    """
    at = next(row for row in sweep.rows if row.alpha == alpha)
    training = trained.record
    return Row(
        method=method or training.method,
        trained_parameters=training.trained_parameters,
        learning_rate=training.learning_rate,
        forgetting=headline.forgetting(zero_shot.rows[0].all_sets(), at.all_sets()),
        seconds=training.seconds,
        seconds_per_epoch=training.seconds / training.epochs if training.epochs else None,
        step_bytes=training.step_bytes,
        alphas=[alpha],
        selections=[selection],
        **at.figures(),
    )


def zero_shot_row(zero_shot: SweepRow) -> Row:
    """The table's row of the model before training."""
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
