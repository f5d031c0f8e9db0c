"""`radapter merge`: the plain checkpoint of a run."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from radapter.adapter.config import check_alpha
from radapter.commands.checks import absent_folder
from radapter.commands.compare import COMPARISON
from radapter.commands.reporting import EXAMPLE_DATA
from radapter.commands.terminal import next_steps, say
from radapter.comparison.chosen import CHOSEN, Chosen
from radapter.config import load_stored
from radapter.errors import ConfigError, RunError, did_you_mean
from radapter.evaluation import TaskName
from radapter.models import load
from radapter.models.export import CLASSES, CLASSIFIER
from radapter.runs.directory import CONFIG
from radapter.runs.merging import alpha_to_merge, merge_run
from radapter.runs.weights import read_about
from radapter.storage import check_destination, read_json

_LOADING = {
    "transformers": "AutoModel.from_pretrained('{to}')",
    "open_clip": "model, preprocess = open_clip.create_model_from_pretrained('local-dir:{to}')",
    "timm": "timm.create_model('local-dir:{to}')",
}


class _Source(NamedTuple):
    """What is merged: the folder of the weights, what is known of them, and the base model."""

    folder: Path
    about: dict[str, Any]
    model: str


def merge(
    run: Path,
    *,
    to: Path,
    alpha: float | None = None,
    format: str | None = None,
    method: str | None = None,
    seed: int | None = None,
    allow_download: bool = False,
) -> Path:
    """Writes the merged model in its own library's form, or in another's where the architecture exists there.

    Args:
        run: the folder of a finished run.
        to: a new folder.
        alpha: in [0, 1]; None for the run's chosen one.
        format: "transformers", "open_clip" or "timm"; None for the model's own library.
        method: of a comparison, whose folder `run` is; None for a run.
        seed: of a comparison; None for its first.
        allow_download: whether the hub may be asked.

    Raises:
        InputError: no finished run or comparison, no such method or seed, another base model, `to` exists, `alpha`
            is out of range, or the chosen one is 0; nothing is written.
    """
    if alpha is not None:
        check_alpha(alpha)
    found = _of_comparison(run, method, seed) if (run / COMPARISON).is_file() else _of_run(run, method, seed)
    at = alpha_to_merge(run, found.about, alpha)
    check_destination(to)
    if not absent_folder(to):
        raise RunError(f"--to must be a new folder. '{to}' exists. Give another.")
    encoder = load(found.model, allow_download=allow_download)
    about = found.about
    merged = merge_run(found.folder, encoder, to=to, format=format, alpha=at, method=about["method"])
    difference = read_json(merged / "certificate.json")["max_relative_difference"]
    classifier = (
        f"; {CLASSIFIER} and {CLASSES} hold its classifier of {len(about['classnames'])} classes"
        if "classnames" in about
        else ""
    )
    say(
        f"Wrote {merged}: '{about['method']}' at alpha {at:g}, features equal to {difference:.1e}{classifier}."
    )
    task = about.get("task", "classification")
    next_steps(
        *merged_steps(to, format or encoder.library, task, has_classifier=(merged / CLASSIFIER).is_file())
    )
    return merged


def _of_run(run: Path, method: str | None, seed: int | None) -> _Source:
    about = read_about(run)
    for option, given in (("--method", method), ("--seed", seed)):
        if given is not None:
            raise ConfigError(f"{option} is for a comparison, got {given}. '{run}' is a run. Leave it out.")
    config = load_stored(run / CONFIG)
    return _Source(run, about, config.model)


def _of_comparison(folder: Path, method: str | None, seed: int | None) -> _Source:
    if not (folder / CHOSEN).is_file():
        raise RunError(
            f"comparison must be finished. '{folder}' has no {CHOSEN}. Run the same 'radapter compare' again, which "
            "continues it."
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
    return _Source(training, about, chosen.model)


def merged_steps(
    folder: str | Path, library: str, task: TaskName, *, has_classifier: bool
) -> list[tuple[str, str]]:
    """What to do with a merged folder that `library` reads."""
    towers = f"load the towers (radapter's README, 'Deploy', applies {CLASSIFIER})"
    return [
        (
            "measure it",
            f"radapter evaluate {shlex.quote(str(folder))} --data {shlex.quote(EXAMPLE_DATA[task])}",
        ),
        (
            towers if has_classifier else "load it",
            _LOADING.get(library, "radapter.load('{to}')").format(to=folder),
        ),
    ]
