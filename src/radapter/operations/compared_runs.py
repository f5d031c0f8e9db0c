"""One method of a comparison at one seed, as a run directory of its own."""

from dataclasses import replace
from pathlib import Path

import yaml

from radapter.comparison.chosen import COMPARISON
from radapter.comparison.store import ZERO_SHOT, seed_folder
from radapter.config import load_config, resolved_yaml
from radapter.config.bounded_yaml import BoundedLoader
from radapter.errors import DamagedError
from radapter.evaluation import HEADLINES, TaskName
from radapter.given_files import read_text
from radapter.manifests import record
from radapter.methods import find_method
from radapter.models import load
from radapter.operations.comparing import TRAININGS, alone
from radapter.operations.merging import of_comparison
from radapter.report.files import write_report
from radapter.runs.alpha_sweep import PSEUDO_VALUES, AlphaRule, AlphaSweep, row_at, zero_shot_row
from radapter.runs.directory import CONFIG
from radapter.runs.results import RESULTS, Results
from radapter.runs.weights import Trained, TrainingRecord, load_trained, read_about, save_trained
from radapter.storage import save_tensors, whole_folder, write_text

RUNS = "runs"
"""Below a comparison's folder."""
_RECORDED = ("seed", "learning_rate", "epoch", "alpha")
_OF_TRAINING = {*TrainingRecord.model_fields, "schema", "alpha", "fingerprint"}
"""What `save_trained` writes by itself."""


def run_of_comparison(comparison: Path, method: str, seed: int | None, *, allow_download: bool) -> Path:
    """Return the directory of a run in a comparison's folder; it is written on first use.

    Raises:
        InputError: the comparison is not finished, or has no such method or seed.
    """
    training, about, model = of_comparison(comparison, method, seed)
    to = comparison / RUNS / method.replace(":", "-") / seed_folder(about["seed"])
    if (to / RESULTS).is_file():
        before = read_about(to)
        if all(before[key] == about[key] for key in _RECORDED):  # else the comparison went on
            return to
    trained = load_trained(training, load(model, allow_download=allow_download))
    named = replace(trained, record=trained.record.model_copy(update={"method": method}))
    swept = _swept(training)
    zero_shot = _swept(comparison / TRAININGS / ZERO_SHOT / seed_folder(about["seed"]))
    results = _results(named, swept, zero_shot, task=about["task"], seed=about["seed"])
    facts = {key: value for key, value in about.items() if key not in _OF_TRAINING}
    with whole_folder(to, replace=True) as draft:
        write_text(draft / CONFIG, _settings(comparison, to, method, about["seed"]))
        save_trained(draft, named, alpha=about["alpha"], about=facts)
        save_tensors(draft / PSEUDO_VALUES, swept.pseudo_values)
        results.write(draft)
        record(draft, PSEUDO_VALUES, RESULTS)
    write_report(results, to)
    return to


def _swept(folder: Path) -> AlphaSweep:
    found = AlphaSweep.read(folder)
    if found is None:
        raise DamagedError(f"'{folder}' must hold a sweep. A file is missing. Run the comparison again.")
    return found


def _results(
    trained: Trained, swept: AlphaSweep, zero_shot: AlphaSweep, *, task: TaskName, seed: int
) -> Results:
    """As a run of its own has them: alpha is chosen in the same way from the same figures."""
    method, headline = trained.record.method, HEADLINES[task]
    alpha, selection = AlphaRule(find_method(method, task).alpha).choose(swept.on_validation(), headline)
    return Results(
        model=trained.classifier.encoder.name,
        fingerprint=trained.base,
        task=task,
        seeds=[seed],
        selection=selection,
        rows=[
            zero_shot_row(*zero_shot.rows),
            row_at(alpha, swept, zero_shot, trained, headline, selection),
        ],
        sweep=[*zero_shot.rows, *(row.model_copy(update={"method": method}) for row in swept.rows)],
        evaluation_seconds=zero_shot.seconds + swept.seconds,
    )


def _settings(comparison: Path, to: Path, method: str, seed: int) -> str:
    """The settings with which `radapter train` gives the same run."""
    content = yaml.load(read_text(comparison / COMPARISON), Loader=BoundedLoader)
    settings = {key: value for key, value in content.items() if key not in ("methods", "seeds")}
    given = load_config(settings)
    row = find_method(method, given.task)
    search = Results.read(comparison).search.get(row.runs)  # none for a method without a training loop
    words = alone(given, row, None if search is None else search.chosen)
    return resolved_yaml(load_config(settings, words, {"seed": seed, "out": to}))
