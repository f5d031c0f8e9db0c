"""Merging a run, or one of the methods of a comparison, into a plain checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from radapter.adapter.config import check_alpha
from radapter.comparison.chosen import CHOSEN, COMPARISON, Chosen
from radapter.config import load_stored
from radapter.errors import ConfigError, RunError, did_you_mean
from radapter.hub import write_merged_card
from radapter.models import load
from radapter.operations.checks import absent_folder
from radapter.runs.directory import CONFIG
from radapter.runs.merging import alpha_to_merge, check_mergeable, merge_run
from radapter.runs.results import Results
from radapter.runs.weights import read_about
from radapter.storage import check_destination

Format = Literal["transformers", "open_clip", "timm", "onnx"]
_Source = tuple[Path, dict[str, Any], str]


class Merged(NamedTuple):
    """A plain checkpoint: its folder, what the run records, its alpha, and the library that loads it."""

    folder: Path
    about: Mapping[str, Any]
    alpha: float
    library: str


def merge(
    run: Path,
    to: Path,
    *,
    alpha: float | None,
    format: str | None,
    method: str | None,
    seed: int | None,
    allow_download: bool,
) -> Merged:
    """Write the merged model in its own library's format, or in another's if that has the architecture.

    Raises:
        InputError: the run or comparison is not finished or has no such method or seed, the base model is another,
            `to` exists, or alpha is out of range, or chosen as 0; nothing is written.
    """
    if alpha is not None:
        check_alpha(alpha)
    source = of_comparison if (run / COMPARISON).is_file() else _of_run
    folder, about, model = source(run, method, seed)
    check_mergeable(about)
    at = alpha_to_merge(run, about, alpha)
    check_destination(to)
    if not absent_folder(to):
        raise RunError(f"--out must be a new folder. '{to}' exists. Give another.")
    encoder = load(model, allow_download=allow_download)
    merged = merge_run(folder, encoder, to=to, format=format, alpha=at, method=about["method"])
    results = Results.read_if_known(run)
    write_merged_card(merged, folder, results=results, about=about, library=encoder.library)
    return Merged(merged, about, at, format or encoder.library)


def _of_run(run: Path, method: str | None, seed: int | None) -> _Source:
    """The folder of the weights, the facts about them, and the base model."""
    about = read_about(run)
    for option, given in (("--method", method), ("--seed", seed)):
        if given is not None:
            raise ConfigError(f"{option} is for a comparison, got {given}. '{run}' is a run. Leave it out.")
    return run, about, load_stored(run / CONFIG).model


def of_comparison(folder: Path, method: str | None, seed: int | None) -> _Source:
    """Return the folder of a method's weights at a seed, None for the first, the facts, and the base model.

    Raises:
        InputError: the comparison is not finished, or has no such method or seed.
    """
    if not (folder / CHOSEN).is_file():
        raise RunError(
            f"comparison must be finished. '{folder}' has no {CHOSEN}. Run the same 'radapter compare' again to "
            "continue it."
        )
    chosen = Chosen.read(folder)
    methods = chosen.methods
    if method is None or method not in methods:
        given = "Got none." if method is None else f"Got '{method}'.{did_you_mean(method, methods)}"
        raise ConfigError(f"--method must be one of the comparison's: {', '.join(methods)}. {given}")
    of_seed = methods[method]
    key = next(iter(of_seed)) if seed is None else str(seed)
    if key not in of_seed:
        raise ConfigError(f"--seed must be one of the comparison's: {', '.join(of_seed)}. Got {seed}.")
    training = folder / of_seed[key].training
    about = {**read_about(training), "method": method, "alpha": of_seed[key].alpha}
    return training, about, chosen.model
