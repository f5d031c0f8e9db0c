"""The trainings of a comparison, each done once and kept in a folder.

A training is a method at a learning rate and a seed. What was asked for and is there is read, what is half done
goes on from its checkpoint, and what is missing is done: so a comparison that was killed continues by being started
again, and methods that share a training share it.

    FOLDER/METHOD/seed-S/lr-R/   the weights, what ID validation and the sweep give, in JSON, and their
                                 pseudo-values, in safetensors; checkpoints/ while it is not done; diverged.txt
                                 where training diverged
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from radapter.data import Memory
from radapter.errors import ConfigError, DivergedError
from radapter.evaluation import ALPHAS, HEADLINES, Measured, Metrics, TaskName
from radapter.manifests import MANIFEST, check_recorded, forget, record
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate
from radapter.models import DualEncoder
from radapter.runs.bench import Bench, Evaluated, bench_of
from radapter.runs.fine_tuning import soup, train_method
from radapter.runs.outcome import HEAD, TRAINED, WEIGHTS, Trained, load_trained, save_trained
from radapter.runs.selection import TestedAlphas, alphas_of_tests
from radapter.runs.swept import FILES, Swept
from radapter.runs.validation import Validation
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, write_json, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Checkpoints, Progress, StopSignal

_LOG = logging.getLogger(__name__)
_CHECKPOINTS, _ZERO_SHOT, _DIVERGED = "checkpoints", "zero-shot", "diverged.txt"
_VALIDATION, _VALIDATION_VALUES, _KEY = "validation.json", "validation.safetensors", "pseudo_values"


class Trainings:
    """Gives trained methods, their accuracy on ID validation, and their sweeps.

    Args:
        folder: of this comparison alone.
        load: gives a fresh model.
        suite_of_seed: the data of a seed; the same every time where the data are fixed.
        recipe: common to all methods, but for the learning rate and the loss, which are each method's own.
        memory: for decoded images.
        stop: asks a training to save and stop.
        starting: told what begins, such as "full, learning rate 0.001, seed 0".
        report: told of each training step.
        progress: told how far an evaluation is.
        tested: alphas at which the test sets are evaluated; see `alphas_of_tests`.
    """

    def __init__(
        self,
        folder: Path,
        load: Callable[[], DualEncoder],
        suite_of_seed: Callable[[int], Suite],
        recipe: Recipe,
        *,
        memory: Memory | None = None,
        stop: StopSignal | None = None,
        starting: Callable[[str], None] = lambda _: None,
        report: Callable[[Progress], None] = lambda _: None,
        progress: Callable[[Evaluated], None] | None = None,
        tested: TestedAlphas = "all",
    ) -> None:
        self._folder, self._load, self._suite_of_seed, self._recipe = folder, load, suite_of_seed, recipe
        self._memory, self._tested = memory or Memory(), tested
        self._stop, self._starting, self._report, self._progress = stop, starting, report, progress
        self._suite: tuple[int, Suite] | None = None
        self._bench: tuple[int, Bench] | None = None

    def encoder(self) -> DualEncoder:
        """A fresh model."""
        return self._load()

    def task(self, seed: int) -> TaskName:
        """What the data of a seed are for."""
        return self._suite_at(seed).task

    def validated(self, method: Method, rate: float, seed: int) -> Measured | None:
        """A training's metrics and pseudo-values on ID validation, at alpha 1; None where training diverges.

        Raises:
            ConfigError: the suite has no ID validation.
        """
        place = self.folder(method, (rate,), seed)
        file, values, diverged = place / _VALIDATION, place / _VALIDATION_VALUES, place / _DIVERGED
        if diverged.is_file():
            return None
        if not (file.is_file() and values.is_file()):
            try:
                trained = self.trained(method, rate, seed)
                found = self._validation(trained.classifier.encoder, seed).measured(trained.classifier)
            except DivergedError as error:
                _LOG.warning(
                    "%s diverges at learning rate %g. It continues without this rate.", method.name, rate
                )
                _keep_diverged(place, error)
                return None
            save_tensors(values, {_KEY: found.pseudo_values})
            write_json(file, found.metrics)
            record(place, _VALIDATION, _VALIDATION_VALUES)
        check_recorded(place, _VALIDATION, _VALIDATION_VALUES)
        return Measured(read_as(file, Metrics, reads=(1,)), load_weights(values)[_KEY])

    def trained(self, method: Method, rate: float | None, seed: int) -> Trained:
        """A training's outcome.

        Args:
            method: a row of `METHODS` that trains something and is no soup.
            rate: peak learning rate; None for the method's own.
            seed: fixes everything.

        Raises:
            DivergedError: it diverges, or did so when it was done before.
        """
        place = self.folder(method, _of_one(rate), seed)
        if (place / _DIVERGED).is_file():
            raise DivergedError((place / _DIVERGED).read_text(encoding="utf-8").strip())
        encoder = self._load()
        if (place / TRAINED).is_file():
            return load_trained(place, encoder)
        peak = rate or default_rate(method, encoder.image_width)
        self._starting(f"{method.name}, learning rate {peak:.4g}, seed {seed}")
        place.mkdir(parents=True, exist_ok=True)
        try:
            trained = train_method(
                method,
                encoder,
                self._suite_at(seed),
                replace(self._recipe.with_own_loss(method), learning_rate=rate),
                seed=seed,
                memory=self._memory,
                checkpoints=Checkpoints(place / _CHECKPOINTS),
                resume=True,
                stop=self._stop,
                report=self._report,
            )
        except DivergedError as error:
            told = DivergedError(f"{method.name}, learning rate {peak:.4g}, seed {seed}: {error}")
            _keep_diverged(place, told)
            raise told from error
        save_trained(place, trained, alpha=1.0, about=self._about(encoder, seed))
        shutil.rmtree(place / _CHECKPOINTS, ignore_errors=True)
        return trained

    def mixed(self, method: Method, rates: Sequence[float], seed: int) -> Trained:
        """A soup of the trainings that a method averages, at every learning rate of a grid that did not diverge.

        Raises:
            ConfigError: there are no rates.
            DivergedError: all of them diverged.
        """
        place = self.folder(method, rates, seed)
        if (place / TRAINED).is_file():
            return load_trained(place, self._load())
        if not rates:
            raise ConfigError(f"'{method.name}' averages trainings at several learning rates. Got none.")
        single = find_method(method.runs, self.task(seed))
        known = [rate for rate in rates if self.validated(single, rate, seed) is not None]
        if not known:
            raise DivergedError(
                f"'{method.name}' has nothing to average: {single.name} diverged at every rate."
            )
        ingredients = [self.trained(single, rate, seed) for rate in known]
        mixed = soup(method, ingredients, self._validation(ingredients[0].classifier.encoder, seed))
        place.mkdir(parents=True, exist_ok=True)
        save_trained(place, mixed, alpha=1.0, about=self._about(mixed.classifier.encoder, seed))
        return mixed

    def zero_shot(self, seed: int) -> Swept:
        """The model as it is, on the data of a seed."""
        place = self._folder / _ZERO_SHOT / f"seed-{seed}"
        return _kept(place, lambda: self._bench_at(seed).zero_shot(self._load()))

    def sweep(
        self, trained: Trained, seed: int, rates: Sequence[float], alphas: Sequence[float] = ALPHAS
    ) -> Swept:
        """A training's rows at every tested alpha: the only place where test sets are read.

        Args:
            trained: at that seed.
            rates: that it was trained at: one, those of a soup, or none for the method's own.
            alphas: each in [0, 1].
        """
        place = self.folder(find_method(trained.method, self.task(seed)), rates, seed)
        tested = alphas_of_tests(self._tested, headline=HEADLINES[self.task(seed)])
        return _kept(
            place, lambda: self._bench_at(seed).sweep(trained, self.zero_shot(seed), alphas, tested=tested)
        )

    def forget(self, method: Method, rate: float, seed: int) -> None:
        """Removes the weights of a training that is not needed again; its accuracy on ID validation stays."""
        place = self.folder(method, (rate,), seed)
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in (_VALIDATION, _VALIDATION_VALUES, _DIVERGED, MANIFEST, *FILES):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        forget(place, TRAINED, WEIGHTS, HEAD)

    def folder(self, method: Method, rates: Sequence[float], seed: int) -> Path:
        """Returns the folder of a training at one rate, of a soup of several, or at its own rate for none."""
        numbers = "-".join(f"{rate:g}" for rate in rates) or "own"
        return self._folder / method.name.replace(":", "-") / f"seed-{seed}" / f"lr-{numbers}"

    def _about(self, encoder: DualEncoder, seed: int) -> dict[str, Any]:
        """What `merge` needs to know of a training."""
        suite = self._suite_at(seed)
        return {"model": encoder.name, "task": suite.task, "seed": seed, **suite.about()}

    def _suite_at(self, seed: int) -> Suite:
        if self._suite is None or self._suite[0] != seed:
            suite = self._suite_of_seed(seed)
            check_disjoint(suite)
            self._suite = (seed, suite)
        return self._suite[1]

    def _bench_at(self, seed: int) -> Bench:
        if self._bench is None or self._bench[0] != seed:
            suite, encoder = self._suite_at(seed), self._load()
            bench = bench_of(suite, encoder, self._recipe, memory=self._memory, progress=self._progress)
            self._bench = (seed, bench)
        return self._bench[1]

    def _validation(self, encoder: DualEncoder, seed: int) -> Validation:
        return Validation(self._suite_at(seed).sealed(), encoder, self._recipe, memory=self._memory)


def _of_one(rate: float | None) -> tuple[float, ...]:
    return () if rate is None else (rate,)


def _keep_diverged(place: Path, error: DivergedError) -> None:
    shutil.rmtree(place / _CHECKPOINTS, ignore_errors=True)
    write_text(place / _DIVERGED, f"{error}\n")


def _kept(place: Path, make: Callable[[], Swept]) -> Swept:
    found = Swept.read(place)
    if found is None:
        found = make()
        found.write(place)
    return found
