"""Merges a run into a plain checkpoint, and reads what the merge left beside a model.

A merged folder has a certificate, which names the run, and the classifier of a classification run.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, Field, ValidationError

from radapter.adapter.config import check_alpha
from radapter.errors import DamagedError, ModelError, RunError
from radapter.evaluation import TaskName
from radapter.evaluation.calibration import temperature_at
from radapter.methods import why_unmergeable
from radapter.models import ClassHead, DualEncoder, export
from radapter.models.certificate import CERTIFICATE
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.runs.alpha_sweep import temperatures_of
from radapter.runs.results import RESULTS, Results
from radapter.runs.weights import load_trained, read_about
from radapter.schemas import first_problem
from radapter.storage import load_weights, read_json
from radapter.task_list import DEFAULT_TASK
from radapter.zeroshot import Classifier, LinearHead, class_embeddings


class _Facts(BaseModel):
    """The part of a certificate that is read."""

    model: str | None = None
    base_fingerprint: str | None = None
    task: TaskName | None = None
    method: str | None = None
    alpha: float | None = Field(default=None, ge=0, le=1)
    templates: list[str] | None = None


class FolderClassifier(NamedTuple):
    """A head, its class names in the order of its rows, and the temperature of its probabilities, 1 if none was
    fitted."""

    head: LinearHead
    classnames: tuple[str, ...]
    temperature: float = 1.0


def merged_facts(folder: Path) -> dict[str, Any]:
    """The recorded base model and its fingerprint, task, method, alpha and templates of the run that `folder` was
    merged from. Raises ModelError if the certificate is not JSON or a value does not fit."""
    if not (folder / CERTIFICATE).is_file():
        return {}
    try:
        return _Facts.model_validate(_read(folder / CERTIFICATE), strict=True).model_dump(exclude_none=True)
    except ValidationError as error:
        message = f"'{folder / CERTIFICATE}': {first_problem(error)}. Merge the run again."
        raise ModelError(message) from error


def folder_classifier(folder: Path, embed_dim: int) -> FolderClassifier | None:
    """The classifier that was merged with the model of `folder`, whose features have `embed_dim` dimensions; None if
    there is none. Raises ModelError if a file is missing or damaged, or does not fit the other or the model."""
    if not (folder / CLASSIFIER).is_file() and not (folder / CLASSES).is_file():
        return None
    if not (folder / CLASSES).is_file():
        raise ModelError(f"'{folder}' must have {CLASSES} beside {CLASSIFIER}. Merge the run again.")
    names = _read(folder / CLASSES)
    tensors = load_weights(folder / CLASSIFIER)
    tensors.setdefault("temperature", torch.ones(()))  # older folders have none
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    count = len(names) if isinstance(names, list) else 0
    wanted = {"weight": (count, embed_dim), "bias": (count,), "logit_scale": (), "temperature": ()}
    if found != wanted or len(set(map(str, names))) != count:
        raise ModelError(
            f"'{folder / CLASSIFIER}' must hold {wanted} for the {count} different names of {CLASSES} and the "
            f"{embed_dim} features of the model. It holds {found}. Merge the run again."
        )
    weight = tensors["weight"] * tensors["logit_scale"]
    if not (torch.isfinite(weight).all() and torch.isfinite(tensors["bias"]).all()):
        raise ModelError(f"'{folder / CLASSIFIER}' must hold finite numbers. Merge the run again.")
    temperature = float(tensors["temperature"])
    if not 0 < temperature < math.inf:
        raise ModelError(
            f"temperature in '{folder / CLASSIFIER}' must be above 0, got {temperature}. Merge the run again."
        )
    return FolderClassifier(LinearHead(weight, tensors["bias"]), tuple(map(str, names)), temperature)


def alpha_to_merge(run: Path, about: Mapping[str, Any], alpha: float | None) -> float:
    """The alpha that a run is merged at: the given one, or that of `about = read_about(run)` for None.

    Raises ConfigError if alpha is out of range, and RunError if the run's own is 0, which is the zero-shot model.
    """
    if alpha is not None or about["alpha"] > 0:
        at: float = about["alpha"] if alpha is None else alpha
        check_alpha(at)
        return at
    best = _best_alpha(run, about) if (run / RESULTS).is_file() else None
    example = f"such as --alpha {best:g}, the best on ID validation," if best else "such as --alpha 0.5"
    raise RunError(
        f"alpha of '{run}' is 0: merging would write the zero-shot model, without what was trained. Give an alpha, "
        f"{example} after a look at 'radapter sweep {run}'; --alpha 0 writes the zero-shot model all the same."
    )


def check_mergeable(about: Mapping[str, Any]) -> None:
    """Raises RunError if the method of `about = read_about(run)` leaves nothing that can be merged."""
    if reason := why_unmergeable(about["method"], about.get("task", DEFAULT_TASK)):
        raise RunError(
            f"method '{about['method']}' cannot be merged: {reason}. Evaluate its run directory, or merge a "
            "run of another method ('radapter methods' says which can be)."
        )


def _best_alpha(run: Path, about: Mapping[str, Any]) -> float | None:
    results, seed = Results.read(run), about.get("seed", 0)
    rows = {row.method: dict(zip(results.seeds, row.selections, strict=True)) for row in results.rows}
    selection = rows.get(about["method"], {}).get(seed)
    return None if selection is None else selection.best_alpha


def merge_run(
    run: Path,
    encoder: DualEncoder,
    *,
    to: Path,
    format: str | None,
    alpha: float | None,
    method: str | None = None,
) -> Path:
    """Writes the plain checkpoint of a finished run at one alpha, and the classifier of a classification run.

    `encoder` is the base model, fresh, and changed in place. `format` is "transformers", "open_clip", or None for
    the model's own library. `method` is the name in the certificate if methods share the training.

    Raises:
        RunError: `run` is not finished, the base model is another, `to` exists, or `alpha_to_merge` refuses.
        ExportError: The written model differs from the one in memory; nothing is left.
    """
    about = read_about(run)
    check_mergeable(about)
    at = alpha_to_merge(run, about, alpha)
    facts = {fact: about[fact] for fact in ("task", "method", "templates") if fact in about} | {"alpha": at}
    facts |= {"base_fingerprint": about["fingerprint"]} | ({} if method is None else {"method": method})
    trained = load_trained(run, encoder)
    with trained.interpolation() as interpolation, interpolation.at(at):
        temperature = temperature_at(temperatures_of(run, about["method"]), at)
        head = _class_head(trained.classifier, about, temperature) if "classnames" in about else None
        if not trained.rescalable:
            return export(encoder, to=to, format=format, head=head, about=facts)
    # Adapters that can be re-scaled are merged by the export itself, so that its certificate holds for the merge.
    with trained.beside_adapters().at(at):
        return export(encoder, to=to, format=format, alpha=at, head=head, about=facts)


def _class_head(classifier: Classifier, about: Mapping[str, Any], temperature: float | None) -> ClassHead:
    """The head at the current weights: the trained one, or the zero-shot head."""
    names = about["classnames"]
    trained = classifier.head
    if trained is None:
        embeddings = class_embeddings(classifier.encoder, names, about["templates"])
        return ClassHead(embeddings, names, temperature=temperature)
    trained = trained.prepared()
    assert isinstance(trained, LinearHead)  # `check_mergeable`
    weight, bias = trained.weight.detach().clone(), trained.bias.detach().clone()
    return ClassHead(weight, names, bias=bias, logit_scale=1.0, temperature=temperature)


def _read(file: Path) -> Any:
    try:
        return read_json(file)
    except DamagedError as error:
        raise ModelError(f"{error} Or merge the run again.") from error
