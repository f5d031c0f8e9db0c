"""chosen.json of a comparison: which training and alpha each method has at each seed, for `radapter merge`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from radapter.manifests import check_recorded, is_inside, record
from radapter.schemas import read_as
from radapter.storage import write_json

CHOSEN = "chosen.json"
_SCHEMA = 1


def _in_the_comparison(path: str) -> str:
    if not is_inside(path):
        raise ValueError("must be a path in the comparison's folder")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ChosenTraining(_Part):
    """A method at a seed: the folder of its training, relative to the comparison's, and its alpha."""

    training: Annotated[str, AfterValidator(_in_the_comparison)]
    alpha: float = Field(ge=0, le=1)


class Chosen(_Part):
    """The whole file: the base model's name, and method -> seed -> training."""

    schema_version: int = Field(default=_SCHEMA, alias="schema")
    model: str
    methods: dict[str, dict[str, ChosenTraining]]

    def write(self, folder: Path) -> None:
        """Writes it into the folder of a comparison, and its SHA-256 into the manifest there."""
        write_json(folder / CHOSEN, self.model_dump(by_alias=True))
        record(folder, CHOSEN)

    @classmethod
    def read(cls, folder: Path) -> "Chosen":
        """Reads it.

        Raises:
            DamagedError: it differs from its record, or a value does not fit.
            RunError: another version of radapter wrote it.
        """
        check_recorded(folder, CHOSEN)
        return read_as(folder / CHOSEN, cls, reads=(_SCHEMA,))
