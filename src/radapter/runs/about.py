"""What trained.json says of a finished run, and its schema."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from radapter.evaluation import TaskName

SCHEMA = 2
"""Version 1 does not say its schema, and may lack `head_learning_rate` and `step_bytes`."""

_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Rate = Annotated[float, Field(gt=0)]


class About(BaseModel):
    """The whole file; what a task adds is kept as it is.

    Attributes:
        method, trained_parameters, learning_rate, head_learning_rate, epochs, epoch, seconds, step_bytes: as
            `Trained`'s.
        alpha: the chosen one.
        fingerprint: of the base model.
        model: its name; this and what follows lack in a folder that `save_trained` wrote for Python alone.
        classnames, templates, unseen: of the tasks that have them.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    schema_version: Literal[1, 2] = Field(default=1, alias="schema")
    method: str
    alpha: float = Field(ge=0, le=1)
    fingerprint: str
    trained_parameters: _Count
    learning_rate: _Rate | None
    head_learning_rate: _Rate | None = None
    epochs: _Count
    epoch: _Count | None
    seconds: float = Field(ge=0)
    step_bytes: _Count | None = None
    model: str | None = None
    task: TaskName = "classification"
    seed: _Count = 0
    classnames: list[str] | None = None
    templates: list[str] | None = None
    unseen: list[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """What the file says, and the defaults of what an older one lacks and every one has now."""
        always = dict.fromkeys(("head_learning_rate", "step_bytes"))
        return always | self.model_dump(by_alias=True, exclude_unset=True, exclude_none=False)
