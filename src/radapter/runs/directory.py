"""One method in one folder: trained, interrupted, resumed, evaluated, merged.

A run folder holds config.yaml, metrics.jsonl, checkpoints/, the evaluated weights (adapter/ or weights and head),
results.json, pseudo_values.safetensors, results.md and frontier.png. Its lock keeps a second run out. Of the
processes of one run the main one alone reads and writes the folder.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Literal

from radapter.adapter.config import check_alpha
from radapter.data import Memory
from radapter.errors import DataError, ModelError, RunError
from radapter.evaluation import HEADLINES
from radapter.manifests import record
from radapter.methods import Method
from radapter.models import ClassHead, DualEncoder, export, fingerprint
from radapter.processes import ALONE, Processes
from radapter.runs.selection import alphas_with
from radapter.runs.bench import Bench, Evaluated, bench_of, row_at, zero_shot_row
from radapter.runs.selection import TestedAlphas, alphas_of_tests, choose_alpha
from radapter.runs.fine_tuning import train_method
from radapter.runs.inputs import inputs_of
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.recipe import Recipe
from radapter.runs.results import RESULTS, Results, Selection
from radapter.tasks.suite import Suite
from radapter.runs.swept import PSEUDO_VALUES
from radapter.runs.tracking import Tracking, tracked
from radapter.zeroshot import Classifier
from radapter.runs.outcome import load_trained, read_about, save_trained
from radapter.storage import lock, save_tensors, write_text
from radapter.training import Checkpoints, Progress, StopSignal, make_accelerator
from radapter.zeroshot import LinearHead, class_embeddings

CONFIG = "config.yaml"
CHECKPOINTS = "checkpoints"


def run_method(
    out: Path,
    method: Method,
    encoder: DualEncoder,
    suite: Suite,
    recipe: Recipe,
    *,
    settings: str,
    alpha: float | Literal["auto"] | None = None,
    seed: int = 0,
    resume: bool = False,
    tracking: Tracking = "none",
    report: Callable[[Progress], None] = lambda _: None,
    progress: Callable[[Evaluated], None] | None = None,
    tested: TestedAlphas = "all",
    processes: Processes = ALONE,
) -> Results:
    """Trains one method in a folder of its own and reports it beside zero-shot.

    Args:
        out: the run folder; made where it is absent.
        method: a row of `METHODS`.
        encoder: fresh; changed in place.
        suite: the data.
        recipe: every number of the training.
        settings: the resolved configuration, kept as config.yaml.
        alpha: where the method's row stands; None for the method's own.
        seed: fixes everything.
        resume: continue where a checkpoint stands, or start where there is none; a finished run is read and nothing
            is done.
        tracking: where metrics go beside metrics.jsonl.
        report: told of each training step.
        progress: told how far the evaluation is.
        tested: alphas at which the test sets are evaluated; see `alphas_of_tests`.
        processes: share training and evaluation; each calls this with the same arguments and gets the results.

    Raises:
        ModelError, DataError: processes have different base models, or different training sets.
        DataError: an image that is validated or tested on is also trained on; nothing was written.
        Interrupted: a signal came; a checkpoint was saved.
        RunError: another process works in `out`, or a run that is resumed was started with another base model or
            other data, or has damaged checkpoints only.
        DiskError: the disk is full; what was saved stays.
    """
    processes.everywhere(lambda: check_disjoint(suite))
    base = _same_everywhere(encoder, suite, processes)

    def begin() -> None:
        inputs = inputs_of(suite, base)
        if resume:
            inputs.check(out)
        inputs.write(out)

    with ExitStack() as held:
        processes.on_main(lambda: held.enter_context(lock(out)))
        processes.on_main(begin)
        done = processes.on_main(lambda: Results.read(out) if resume and (out / RESULTS).is_file() else None)
        if done is not None:
            return done
        processes.on_main(lambda: write_text(out / CONFIG, settings))
        encoder.to(make_accelerator(recipe.precision).device)
        memory = Memory()
        bench = bench_of(suite, encoder, recipe, memory=memory, progress=progress, processes=processes)
        zero_shot = bench.zero_shot(encoder)
        rows, sweep, headline = [zero_shot_row(*zero_shot.rows)], [*zero_shot.rows], HEADLINES[suite.task]
        selection = Selection(split=None, rule="nothing was selected", n=0)
        pseudo_values, seconds = zero_shot.pseudo_values, zero_shot.seconds
        if method.build is not None:
            stop = StopSignal()
            with stop.listening(), ExitStack() as open_log:
                log = open_log.enter_context(tracked(out, tracking)) if processes.is_main else None

                def both(step: Progress) -> None:
                    if log is not None:
                        log(step)
                    report(step)

                trained = train_method(
                    method,
                    encoder,
                    suite,
                    recipe,
                    seed=seed,
                    memory=memory,
                    checkpoints=Checkpoints(out / CHECKPOINTS),
                    resume=resume,
                    stop=stop,
                    report=both,
                    processes=processes,
                )
            wanted = method.alpha if alpha is None else alpha
            alphas = alphas_with(wanted)
            swept = bench.sweep(
                trained, zero_shot, alphas, tested=alphas_of_tests(tested, alpha=wanted, headline=headline)
            )
            chosen, selection = choose_alpha(swept.on_validation(), wanted, headline=headline)
            about = {"model": encoder.name, "task": suite.task, "seed": seed, **suite.about()}
            processes.on_main(lambda: save_trained(out, trained, alpha=chosen, about=about))
            rows.append(
                row_at(
                    chosen,
                    swept.rows,
                    *zero_shot.rows,
                    trained=trained,
                    headline=headline,
                    selection=selection,
                )
            )
            sweep += swept.rows
            pseudo_values, seconds = swept.pseudo_values, seconds + swept.seconds
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
        processes.on_main(lambda: save_tensors(out / PSEUDO_VALUES, pseudo_values))
        processes.on_main(lambda: results.write(out))
        processes.on_main(lambda: record(out, PSEUDO_VALUES, RESULTS))
        return results


def _same_everywhere(encoder: DualEncoder, suite: Suite, processes: Processes) -> str:
    """The base model's fingerprint, once every process is seen to have the same model and training set."""
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


def evaluate_run(run: Path, encoder: DualEncoder, bench: Bench, *, alpha: float | None = None) -> Results:
    """Evaluates a finished run, and zero-shot beside it, on the sets of `bench`.

    Args:
        run: its folder.
        encoder: the base model, fresh; changed in place.
        bench: the sets.
        alpha: None for the run's chosen one.

    Raises:
        RunError: `run` is not finished, or the base model is another.
    """
    about = read_about(run)
    at = about["alpha"] if alpha is None else alpha
    base = fingerprint(encoder)
    zero_shot = bench.zero_shot(encoder)
    trained = load_trained(run, encoder)
    swept = bench.sweep(trained, zero_shot, (at,))
    return Results(
        model=encoder.name,
        fingerprint=base,
        task=bench.task,
        seeds=[about["seed"]],
        selection=Selection(split=None, rule=f"alpha {at:g} of the run", n=0),
        rows=[
            zero_shot_row(*zero_shot.rows),
            row_at(at, swept.rows, *zero_shot.rows, trained=trained, headline=HEADLINES[bench.task]),
        ],
        sweep=[*zero_shot.rows, *swept.rows],
    )


def evaluate_model(
    encoder: DualEncoder,
    bench: Bench,
    *,
    method: str = "zero-shot",
    alpha: float = 0.0,
    head: LinearHead | None = None,
) -> Results:
    """Evaluates a model as it is on the sets of `bench`.

    Args:
        encoder: of any model.
        bench: the sets.
        method: what the row is called.
        alpha: what the row says.
        head: classifies; None for the zero-shot head.
    """
    (row,) = bench.states(method, encoder, lambda _: nullcontext(), (alpha,), head=head).rows
    return Results(
        model=encoder.name,
        fingerprint=fingerprint(encoder),
        task=bench.task,
        seeds=[0],
        selection=Selection(split=None, rule="nothing was selected", n=0),
        rows=[zero_shot_row(row).model_copy(update={"method": method})],
        sweep=[row],
    )


def alpha_to_merge(run: Path, about: Mapping[str, Any], alpha: float | None) -> float:
    """The alpha that a run is merged at: the given one, else the run's own.

    Args:
        run: its folder.
        about: `read_about(run)`.
        alpha: None for the run's own.

    Raises:
        ConfigError: alpha is out of range.
        RunError: the run's own is 0, so that the zero-shot model would be written.
    """
    if alpha is not None or about["alpha"] > 0:
        at: float = about["alpha"] if alpha is None else alpha
        check_alpha(at)
        return at
    best = _best_alpha(Results.read(run), about) if (run / RESULTS).is_file() else None
    example = f"such as --alpha {best:g}, the best on ID validation," if best else "such as --alpha 0.5"
    raise RunError(
        f"alpha of '{run}' is 0: merging would write the zero-shot model, without what was trained. Give an alpha, "
        f"{example} after a look at 'radapter sweep {run}'; --alpha 0 writes the zero-shot model all the same."
    )


def _best_alpha(results: Results, about: Mapping[str, Any]) -> float | None:
    """The best alpha on ID validation of a method at its seed."""
    for row in results.rows:
        for seed, selection in zip(results.seeds, row.selections, strict=True):
            if (row.method, seed) == (about["method"], about.get("seed", 0)) and selection is not None:
                return selection.best_alpha
    return None


def merge_run(
    run: Path,
    encoder: DualEncoder,
    *,
    to: Path,
    format: str | None,
    alpha: float | None,
    method: str | None = None,
) -> Path:
    """Writes the plain checkpoint of a finished run at one alpha, and, of a classification, its classifier.

    Args:
        run: its folder.
        encoder: the base model, fresh; changed in place.
        to: must not exist.
        format: "transformers" or "open_clip"; None for the model's own library.
        alpha: None for the run's chosen one.
        method: what the certificate calls it, where methods share the training; None for the run's.

    Raises:
        RunError: `run` is not finished, the base model is another, `to` exists, or the run's alpha is 0 and none is
            given.
        ExportError: the written model differs from the one in memory; nothing is left.
    """
    about = read_about(run)
    at = alpha_to_merge(run, about, alpha)
    facts = {fact: about[fact] for fact in ("task", "method", "templates") if fact in about} | {"alpha": at}
    facts |= {} if method is None else {"method": method}
    trained = load_trained(run, encoder)
    with trained.interpolation() as interpolation, interpolation.at(at):
        head = _class_head(trained.classifier, about) if "classnames" in about else None
        if not trained.rescalable:
            return export(encoder, to=to, format=format, head=head, about=facts)
    # Adapters that can be re-scaled are merged by the export itself, so that its certificate holds for the merge.
    return export(encoder, to=to, format=format, alpha=at, head=head, about=facts)


def _class_head(classifier: Classifier, about: Mapping[str, Any]) -> ClassHead:
    """The head that classifies at the present weights: the trained one, or the zero-shot head."""
    names = about["classnames"]
    trained = classifier.head
    if trained is None:
        return ClassHead(class_embeddings(classifier.encoder, names, about["templates"]), names)
    return ClassHead(
        trained.weight.detach().clone(), names, bias=trained.bias.detach().clone(), logit_scale=1.0
    )
