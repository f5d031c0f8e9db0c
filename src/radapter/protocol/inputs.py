"""What a run was started with: the base model and the samples of every set, as fingerprints that a folder keeps.

Settings name paths; what lies there may change. Nothing here depends on the machine: a fingerprint covers the
content hashes of the images, in order, which the guard against leaks needs too, their labels, and the class names.
"""

from pathlib import Path
from typing import Any

from radapter.data.splits import fingerprint
from radapter.errors import RunError
from radapter.protocol.suite import ROLES, Suite
from radapter.storage import read_json, write_json

INPUTS = "inputs.json"


def inputs_of(suite: Suite, base: str) -> dict[str, Any]:
    """Returns what a run on these sets starts with, as JSON.

    Args:
        suite: all its sets are read.
        base: fingerprint of the base model.
    """
    sets = {"train": suite.train, **{"/".join(key): data for key, data in suite.sets(*ROLES).items()}}
    return {
        "base model": base,
        "sets": {
            name: {"samples": len(data), "images": fingerprint(data.keys), "all": data.fingerprint}
            for name, data in sets.items()
        },
    }


def keep_inputs(folder: Path, inputs: dict[str, Any]) -> None:
    """Writes them, for `check_inputs`."""
    write_json(folder / INPUTS, inputs)


def check_inputs(folder: Path, inputs: dict[str, Any]) -> None:
    """Raises where a folder was started with others; one of an older version keeps none, and passes.

    Raises:
        RunError: the base model or a set differs; the message has what changed.
    """
    if not (folder / INPUTS).is_file():
        return
    there = read_json(folder / INPUTS)
    changed = [
        f"{name}: {_change(there['sets'].get(name), now)}"
        for name, now in inputs["sets"].items()
        if there["sets"].get(name) != now
    ]
    if there["base model"] != inputs["base model"]:
        changed.insert(
            0, f"base model: fingerprint {there['base model'][:16]} before, {inputs['base model'][:16]} now"
        )
    if changed:
        raise RunError(
            f"'{folder}' was started with another base model or other data. {'; '.join(changed)}. Restore them, or "
            "give another --out."
        )


def _change(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    if before is None:
        return "not there before"
    if before["samples"] != now["samples"]:
        return f"{before['samples']:,} samples before, {now['samples']:,} now"
    if before["images"] != now["images"]:
        return "other images, or in another order"
    return "the same images with other labels, captions or class names"
