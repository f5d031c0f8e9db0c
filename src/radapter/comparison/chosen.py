"""chosen.json of a comparison: the run and alpha of each method at each seed, for `radapter merge`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from radapter.manifests import check_recorded, is_inside, record
from radapter.schemas import read_as
from radapter.storage import write_json

CHOSEN, COMPARISON = "chosen.json", "comparison.yaml"
_SCHEMA = 1


def _in_the_comparison(path: str) -> str:
    if not is_inside(path):
        raise ValueError("must be a path in the comparison's folder")
    return path


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ChosenTraining(_Part):
    """A method at a seed: the folder of its run, relative to the comparison's, and its alpha."""

    training: Annotated[str, AfterValidator(_in_the_comparison)]
    alpha: float = Field(ge=0, le=1)


class Chosen(_Part):
    """The whole file: the base model's name, and method -> seed -> training."""

    schema_version: int = Field(default=_SCHEMA, alias="schema")
    model: str
    methods: dict[str, dict[str, ChosenTraining]]

    def write(self, folder: Path) -> None:
        """Writes the file and records it in the folder's manifest."""
        write_json(folder / CHOSEN, self.model_dump(by_alias=True))
        record(folder, CHOSEN)

    @classmethod
    def read(cls, folder: Path) -> "Chosen":
        """Reads the file. Raises DamagedError if it differs from its record or a value does not fit, and RunError if
        another version of radapter wrote it."""
        check_recorded(folder, CHOSEN)
        return read_as(folder / CHOSEN, cls, reads=(_SCHEMA,))
