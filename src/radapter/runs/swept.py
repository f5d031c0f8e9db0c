"""What a sweep gives: one row for each alpha, and the pseudo-values of every set at every alpha.

Pseudo-values are kept in a file of their own, `pseudo_values.safetensors`, under "ALPHA/ROLE/NAME", such as
"0.3/ood/sketch". Two alphas, learning rates or methods are compared on the same images by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from torch import Tensor

from radapter.evaluation import Measured, Metrics
from radapter.manifests import check_recorded, record
from radapter.runs.results import ID_VAL, SweepRow
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, write_json

SWEEP, ON_VALIDATION, PSEUDO_VALUES = "sweep.json", "on_validation.json", "pseudo_values.safetensors"
FILES = (SWEEP, ON_VALIDATION, PSEUDO_VALUES)
_ROWS = TypeAdapter(list[SweepRow])
_SCHEMA = 1


class _OnValidation(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    seconds: float
    alphas: dict[float, Metrics]


@dataclass(frozen=True, eq=False)
class Swept:
    """One method at several alphas.

    Attributes:
        rows: one for each alpha at which the test sets were evaluated.
        validation: alpha -> metrics on ID validation, at every alpha; empty without ID validation.
        pseudo_values: `pseudo_value_key(alpha, set)` -> (N,), float32, in the set's order of images.
        seconds: that evaluation took.
    """

    rows: list[SweepRow]
    validation: dict[float, Metrics]
    pseudo_values: dict[str, Tensor]
    seconds: float = 0.0

    def of_alpha(self, alpha: float) -> dict[str, Tensor]:
        """The pseudo-values at one alpha: "ROLE/NAME" -> (N,)."""
        start = pseudo_value_key(alpha, "")
        return {
            key.removeprefix(start): values
            for key, values in self.pseudo_values.items()
            if key.startswith(start)
        }

    def on_validation(self) -> dict[float, Measured]:
        """Alpha -> what ID validation gives."""
        return {
            alpha: Measured(metrics, self.pseudo_values[pseudo_value_key(alpha, ID_VAL)])
            for alpha, metrics in self.validation.items()
        }

    def write(self, folder: Path) -> None:
        """Writes `FILES` into `folder`, which is made where it is absent."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / PSEUDO_VALUES, self.pseudo_values)
        on_validation = {f"{alpha:g}": metrics for alpha, metrics in self.validation.items()}
        write_json(folder / ON_VALIDATION, {"seconds": self.seconds, "alphas": on_validation})
        write_json(folder / SWEEP, [row.model_dump(mode="json") for row in self.rows])
        record(folder, *FILES)

    @classmethod
    def read(cls, folder: Path) -> "Swept | None":
        """Reads what `write` wrote; None where it is not there."""
        if not all((folder / name).is_file() for name in FILES):
            return None
        check_recorded(folder, *FILES)
        found = read_as(folder / ON_VALIDATION, _OnValidation, reads=(_SCHEMA,))
        return cls(
            read_as(folder / SWEEP, _ROWS, reads=(_SCHEMA,)),
            found.alphas,
            load_weights(folder / PSEUDO_VALUES),
            found.seconds,
        )


def pseudo_value_key(alpha: float, name: str) -> str:
    """The key of a set's pseudo-values, such as "0.3/ood/sketch"; `name` is "ROLE/NAME"."""
    return f"{alpha:g}/{name}"


def pseudo_values_by_key(found: Mapping[tuple[float, str], Tensor]) -> dict[str, Tensor]:
    """As `evaluation.sweep` fills it, under the keys of the file."""
    return {pseudo_value_key(alpha, name): values for (alpha, name), values in found.items()}
