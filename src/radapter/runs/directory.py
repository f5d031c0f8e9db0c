"""A run directory: one method trained, interrupted, resumed and evaluated in one folder.

It holds config.yaml, metrics.jsonl, checkpoints/, the evaluated weights (adapter/ or weights and head),
results.json, pseudo_values.safetensors, what a report shows besides, results.md and frontier.png. Its lock excludes
a second run. With several processes, only the main one reads and writes it.
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from radapter.errors import DataError, ModelError
from radapter.evaluation import HEADLINES
from radapter.manifests import record
from radapter.methods import Method
from radapter.models import DualEncoder, fingerprint
from radapter.processes import Processes
from radapter.runs.alpha_sweep import NOTHING_SELECTED, PSEUDO_VALUES, AlphaRule, row_at, zero_shot_row
from radapter.runs.evaluator import Evaluator
from radapter.runs.fine_tuning import train_method
from radapter.runs.inputs import inputs_of
from radapter.runs.results import RESULTS, Results, Selection
from radapter.runs.trackers import PROJECT, Drawn, Tracked, Tracking
from radapter.runs.tracking import NO_LOG, tracked
from radapter.runs.versions import write_versions
from radapter.runs.weights import load_trained, read_about, save_trained
from radapter.storage import lock, save_tensors, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Checkpoints, Environment, Progress, make_accelerator
from radapter.zeroshot import Classifier, LinearHead

CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class RunDirectory:
    """Where a run is kept, and how it is started.

    settings: the resolved configuration, kept as config.yaml. resume: whether to continue from a checkpoint, if
    there is one; a finished run is only read. tracking: a tracker beside metrics.jsonl. project, name: of the run in
    the tracker; no name is the folder's. drawn: what the tracker shows of the results; None for nothing.
    """

    folder: Path
    settings: str
    resume: bool = False
    tracking: Tracking = "none"
    project: str = PROJECT
    name: str | None = None
    drawn: Callable[[Results], Drawn] | None = None


def run_method(
    directory: RunDirectory,
    method: Method,
    encoder: DualEncoder,
    suite: Suite,
    recipe: Recipe,
    *,
    seed: int = 0,
    rule: AlphaRule | None = None,
    environment: Environment | None = None,
) -> Results:
    """Trains one method in a run directory and reports it beside zero-shot.

    The encoder must be fresh, and is changed in place. The default rule is the method's own alpha, and all alphas of
    the test sets. Every process calls this with the same arguments and receives the results.

    Raises:
        ModelError, DataError: Processes have different base models or training sets.
        DataError: An image of a validation or test set is also in the training set; nothing was written.
        Interrupted: A signal arrived; a checkpoint was saved.
        RunError: Another process uses the folder, or a resumed run was started with another base model or other
            data, or has damaged checkpoints only.
        DiskError: The disk is full; what was saved stays.
    """
    environment = environment or Environment()
    out, processes = directory.folder, environment.processes
    processes.everywhere(lambda: check_disjoint(suite))
    base = _same_everywhere(encoder, suite, processes)

    def begin() -> Results | None:
        inputs = inputs_of(suite, base)
        if directory.resume:
            inputs.check(out)
        inputs.write(out)
        return Results.read(out) if directory.resume and (out / RESULTS).is_file() else None

    with ExitStack() as held:
        processes.on_main(lambda: held.enter_context(lock(out)))
        done = processes.on_main(begin)
        if done is not None:
            return done
        processes.on_main(lambda: write_text(out / CONFIG, directory.settings))
        processes.on_main(lambda: write_versions(out))
        encoder.to(make_accelerator(recipe.precision).device)
        evaluator = Evaluator(suite, encoder, recipe, environment)
        zero_shot = evaluator.zero_shot(encoder)
        rows, sweep, headline = [zero_shot_row(*zero_shot.rows)], [*zero_shot.rows], HEADLINES[suite.task]
        selection, last, seconds = NOTHING_SELECTED, zero_shot, zero_shot.seconds
        log = NO_LOG
        if method.build is not None:
            called = Tracked(directory.project, directory.name, directory.settings)
            logging = tracked(out, directory.tracking, called) if processes.is_main else nullcontext(NO_LOG)
            log = held.enter_context(logging)  # until the results are there
            with environment.stop.listening():

                def report(step: Progress) -> None:
                    log.step(step)
                    environment.report(step)

                trained = train_method(
                    method,
                    encoder,
                    suite,
                    recipe,
                    seed=seed,
                    checkpoints=Checkpoints(out / CHECKPOINTS),
                    resume=directory.resume,
                    environment=replace(environment, report=report, validated=log.epoch),
                )
            rule = rule or AlphaRule(method.alpha)
            swept = evaluator.sweep(trained, zero_shot, rule.alphas, tested=rule.tests(headline))
            chosen, selection = rule.choose(swept.on_validation(), headline)
            about = {"model": encoder.name, "task": suite.task, "seed": seed, **suite.about()}
            processes.on_main(lambda: save_trained(out, trained, alpha=chosen, about=about))
            rows.append(row_at(chosen, swept, zero_shot, trained, headline, selection))
            sweep += swept.rows
            last, seconds = swept, seconds + swept.seconds
        results = Results(
            model=encoder.name,
            fingerprint=base,
            task=suite.task,
            seeds=[seed],
            selection=selection,
            rows=rows,
            sweep=sweep,
            evaluation_seconds=seconds,
        )
        processes.on_main(lambda: save_tensors(out / PSEUDO_VALUES, last.pseudo_values))
        processes.on_main(lambda: last.write_for_reports(out))
        processes.on_main(lambda: results.write(out))
        processes.on_main(lambda: record(out, PSEUDO_VALUES, RESULTS))
        if directory.drawn is not None and directory.tracking != "none" and processes.is_main:
            log.results(directory.drawn(results))
        return results


def _same_everywhere(encoder: DualEncoder, suite: Suite, processes: Processes) -> str:
    """The base model's fingerprint. Raises if a process has another model or training set."""
    train = suite.train
    assert train is not None
    found = processes.together(lambda: (fingerprint(encoder), train.fingerprint))

    def check() -> None:
        for rank, (model, data) in enumerate(found):
            if model != found[0][0]:
                raise ModelError(
                    f"every process must have the same base model. '{encoder.name}' is {found[0][0]} in process 0, "
                    f"{model} in process {rank}. Give all machines the same files."
                )
            if data != found[0][1]:
                raise DataError(
                    f"every process must have the same training set. '{train.name}' holds other images or "
                    f"labels in process {rank} than in process 0. Give all machines the same files."
                )

    processes.everywhere(check)
    return found[0][0]


def evaluate_run(
    run: Path, encoder: DualEncoder, evaluator: Evaluator, *, alpha: float | None = None
) -> Results:
    """Evaluates a finished run and zero-shot, at the given alpha or the run's own.

    `encoder` is the base model, fresh, and changed in place. Raises RunError if the run is not finished, or the base
    model is another.
    """
    about = read_about(run)
    at = about["alpha"] if alpha is None else alpha
    base = fingerprint(encoder)
    zero_shot = evaluator.zero_shot(encoder)
    trained = load_trained(run, encoder)
    swept = evaluator.sweep(trained, zero_shot, (at,))
    row = row_at(at, swept, zero_shot, trained, HEADLINES[evaluator.task])
    return Results(
        model=encoder.name,
        fingerprint=base,
        task=evaluator.task,
        seeds=[about["seed"]],
        selection=Selection(split=None, rule=f"alpha {at:g} of the run", n=0),
        rows=[zero_shot_row(*zero_shot.rows), row],
        sweep=[*zero_shot.rows, *swept.rows],
    )


def evaluate_model(
    encoder: DualEncoder,
    evaluator: Evaluator,
    *,
    method: str = "zero-shot",
    alpha: float = 0.0,
    head: LinearHead | None = None,
) -> Results:
    """Evaluates a model as it is, as one row of that method and alpha; None is the zero-shot head."""
    (row,) = evaluator.states(method, Classifier(encoder, head), lambda _: nullcontext(), (alpha,)).rows
    return Results(
        model=encoder.name,
        fingerprint=fingerprint(encoder),
        task=evaluator.task,
        seeds=[0],
        selection=NOTHING_SELECTED,
        rows=[zero_shot_row(row).model_copy(update={"method": method})],
        sweep=[row],
    )
