"""Opens what classifies: a run at an alpha, a merged directory with its classifier, or a model with class names."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import torch

from radapter.errors import ConfigError, InputError, RunError
from radapter.inference.predictor import Predictor
from radapter.inference.weights import OpenedWeights
from radapter.models import DualEncoder, fingerprint, load
from radapter.runs.alpha_sweep import temperatures_of
from radapter.runs.directory import CONFIG
from radapter.runs.merging import folder_classifier, merged_facts
from radapter.runs.weights import TRAINED, load_trained, read_about
from radapter.zeroshot import templates as templates_of


def open_predictor(
    run_or_model: str | os.PathLike[str],
    *,
    alpha: float | None = None,
    classnames: Sequence[str] | None = None,
    templates: str | Path | Sequence[str] | None = None,
    raw: bool = False,
    device: str | torch.device | None = None,
    allow_download: bool = False,
) -> Predictor:
    """Opens a run, a merged directory or a model for predictions and embeddings.

    Args:
        run_or_model: a run directory, a merged directory, or a model's name.
        alpha: of a run, in [0, 1]; None is the run's own.
        classnames: None takes those of the run or the merged directory; a model has none.
        templates: prompts as in run.yaml; None takes those of the run or the merged directory, else the short ones.
        raw: whether probabilities are left as the model gives them, without the temperature.
        device: such as "cuda:1"; None takes the GPU if there is one.
        allow_download: whether the model may be downloaded from the Hugging Face Hub.

    Raises:
        ConfigError: alpha is out of range or given for a model, or the device does not exist.
        ModelError, RunError: there is no such model, or the run is not finished.
    """
    folder, on = Path(run_or_model), device_named(device)
    is_run = (folder / TRAINED).is_file() or (folder / CONFIG).is_file()
    if alpha is not None and not is_run:
        raise ConfigError(f"alpha is for a run. '{run_or_model}' is a model. Leave it out.")
    opened = (_of_run if is_run else _of_model)(os.fspath(run_or_model), on, allow_download)
    return Predictor(
        opened,
        alpha=opened.alpha if alpha is None else alpha,
        classnames=classnames,
        templates=None if templates is None else templates_of(templates),
        raw=raw,
    )


def device_named(device: str | torch.device | None = None) -> torch.device:
    """A device by its name; None is the GPU if there is one. Raises ConfigError if it does not exist."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device must exist here, such as cpu, cuda or cuda:1. '{device}': {reason}. Give another."
        ) from error
    return found


def _of_run(what: str, device: torch.device, allow_download: bool) -> OpenedWeights:
    run = Path(what)
    about = read_about(run)
    if about.get("model") is None:
        raise RunError(
            f"'{run}' must name its base model in {TRAINED}. It does not. Train it with 'radapter train'."
        )
    encoder = load(about["model"], allow_download=allow_download)
    trained = load_trained(run, encoder)
    trained.classifier.to(device)
    classnames, templates = about.get("classnames"), about.get("templates")
    return OpenedWeights(
        name=what,
        encoder=encoder,
        at=trained.merged().at,
        is_run=True,
        alpha=about["alpha"],
        head=trained.classifier.head,
        classnames=None if classnames is None else tuple(classnames),
        templates=None if templates is None else tuple(templates),
        temperatures=temperatures_of(run, about["method"]),
        base=lambda: encoder,
    )


def _of_model(what: str, device: torch.device, allow_download: bool) -> OpenedWeights:
    folder = Path(what)
    facts = merged_facts(folder)
    encoder = load(what, allow_download=allow_download).to(device)
    classifier = folder_classifier(folder, encoder.embed_dim)
    is_merged = "method" in facts
    alpha = facts.get("alpha", 1.0)

    @cache
    def base() -> DualEncoder | None:
        """The model before the merged training, if it can be loaded and is the one."""
        if "base_fingerprint" not in facts:
            return None
        try:
            found = load(facts["model"], allow_download=allow_download)
        except InputError:
            return None
        return found.to(device) if fingerprint(found) == facts["base_fingerprint"] else None

    templates = facts.get("templates")
    return OpenedWeights(
        name=what,
        encoder=encoder,
        at=lambda _: nullcontext(),
        alpha=alpha if is_merged else None,
        head=None if classifier is None else classifier.head.to(device),
        classnames=None if classifier is None else classifier.classnames,
        templates=None if templates is None else tuple(templates),
        temperatures={} if classifier is None else {alpha: classifier.temperature},
        base=base if is_merged else lambda: encoder,
    )
