"""What a run was started with: the base model and the samples of every set, as fingerprints that a folder keeps.

Settings name paths; what lies there may change. Nothing here depends on the machine: a fingerprint covers the
content hashes of the images, in order, which the guard against leaks needs too, their labels, and the class names.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from radapter.data.splits import fingerprint
from radapter.errors import RunError
from radapter.tasks.suite import ROLES, Suite
from radapter.schemas import read_as
from radapter.storage import write_json

INPUTS = "inputs.json"
_SCHEMA = 1


class SetInputs(BaseModel):
    """A set: how many samples, a fingerprint of their images in order, and one that covers labels and names too."""

    model_config = ConfigDict(strict=True)

    samples: int
    images: str
    all: str


class Inputs(BaseModel):
    """The fingerprint of the base model, and the sets by role and name, such as "ood/sketch"."""

    model_config = ConfigDict(strict=True)

    base_model: str
    sets: dict[str, SetInputs]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read what a folder keeps; None for one of an older version.

        Raises:
            RunError: a later radapter wrote it.
            DamagedError: it is damaged.
        """
        file = folder / INPUTS
        return read_as(file, cls, reads=(_SCHEMA,)) if file.is_file() else None

    def write(self, folder: Path) -> None:
        """Write them into a folder."""
        write_json(folder / INPUTS, {"schema": _SCHEMA, **self.model_dump()})

    def check(self, folder: Path) -> None:
        """Check that a folder was started with the same inputs; one of an older version keeps none, and passes.

        Raises:
            RunError: the base model or a set differs; the message has what changed.
            DamagedError: the file is damaged.
        """
        before = Inputs.read(folder)
        if before is None:
            return
        changed = [
            f"{name}: {_change(before.sets.get(name), now)}"
            for name, now in self.sets.items()
            if before.sets.get(name) != now
        ]
        if before.base_model != self.base_model:
            changed.insert(
                0, f"base model: fingerprint {before.base_model[:16]} before, {self.base_model[:16]} now"
            )
        if changed:
            raise RunError(
                f"'{folder}' was started with another base model or other data. {'; '.join(changed)}. Restore them, "
                "or give another --out."
            )


def inputs_of(suite: Suite, base: str) -> Inputs:
    """Return what a run on these sets starts with.

    Args:
        suite: all its sets are read.
        base: fingerprint of the base model.
    """
    assert suite.train is not None
    sets = {"train": suite.train, **{"/".join(key): data for key, data in suite.sets(*ROLES).items()}}
    return Inputs(
        base_model=base,
        sets={
            name: SetInputs(samples=len(data), images=fingerprint(data.keys), all=data.fingerprint)
            for name, data in sets.items()
        },
    )


def _change(before: SetInputs | None, now: SetInputs) -> str:
    if before is None:
        return "not there before"
    if before.samples != now.samples:
        return f"{before.samples:,} samples before, {now.samples:,} now"
    if before.images != now.images:
        return "other images, or in another order"
    return "the same images with other labels, captions or class names"
