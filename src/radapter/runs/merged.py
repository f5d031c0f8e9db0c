"""What `merge` leaves beside a model: which run it is of, and the run's classifier."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, Field, ValidationError

from radapter.errors import DamagedError, ModelError
from radapter.evaluation import TaskName
from radapter.models.certificate import CERTIFICATE
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.storage import load_weights, read_json
from radapter.zeroshot import LinearHead


class _Facts(BaseModel):
    """What is read of a certificate."""

    task: TaskName | None = None
    method: str | None = None
    alpha: float | None = Field(default=None, ge=0, le=1)
    templates: list[str] | None = None


class FolderClassifier(NamedTuple):
    """A head and its class names, in the order of its rows."""

    head: LinearHead
    classnames: tuple[str, ...]


def merged_facts(folder: Path) -> dict[str, Any]:
    """The task, method, alpha and templates of the run that `folder` was merged from, as far as it records them.

    Raises:
        ModelError: the certificate is not JSON, or one of these has another type.
    """
    if not (folder / CERTIFICATE).is_file():
        return {}
    try:
        return _Facts.model_validate(_read(folder / CERTIFICATE), strict=True).model_dump(exclude_none=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            f"{'.'.join(map(str, first['loc'])) or 'the value'} in '{folder / CERTIFICATE}': {first['msg']}, got "
            f"{first['input']!r}. Merge the run again."
        ) from error


def folder_classifier(folder: Path, embed_dim: int) -> FolderClassifier | None:
    """The classifier that was merged with the model of `folder`; None where there is none.

    Args:
        folder: of a merged model.
        embed_dim: E, of the model's features.

    Raises:
        ModelError: a file of the classifier is missing or damaged, or does not fit the other or the model.
    """
    if not (folder / CLASSIFIER).is_file() and not (folder / CLASSES).is_file():
        return None
    if not (folder / CLASSES).is_file():
        raise ModelError(f"'{folder}' must have {CLASSES} beside {CLASSIFIER}. Merge the run again.")
    names = _read(folder / CLASSES)
    tensors = load_weights(folder / CLASSIFIER)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    count = len(names) if isinstance(names, list) else 0
    wanted = {"weight": (count, embed_dim), "bias": (count,), "logit_scale": ()}
    if found != wanted or len(set(map(str, names))) != count:
        raise ModelError(
            f"'{folder / CLASSIFIER}' must hold {wanted} for the {count} different names of {CLASSES} and the "
            f"{embed_dim} features of the model. It holds {found}. Merge the run again."
        )
    weight = tensors["weight"] * tensors["logit_scale"]
    if not (torch.isfinite(weight).all() and torch.isfinite(tensors["bias"]).all()):
        raise ModelError(
            f"'{folder / CLASSIFIER}' must hold finite numbers. It does not. Merge the run again."
        )
    return FolderClassifier(LinearHead(weight, tensors["bias"]), tuple(map(str, names)))


def _read(file: Path) -> Any:
    try:
        return read_json(file)
    except DamagedError as error:
        raise ModelError(f"{error} Or merge the run again.") from error
