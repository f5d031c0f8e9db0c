"""The runs of a comparison, each trained once and kept in a folder.

A run is a method at a learning rate and a seed. A finished run is read, an interrupted one continues from its
checkpoint, and a missing one is trained. So a killed comparison continues when it is started again, and methods that
share a training share its run.

    FOLDER/METHOD/seed-S/lr-R/   the weights, the results on ID validation and the sweep in JSON, and their
                                 pseudo-values in safetensors; logs of steps and epochs, and what a report shows
                                 besides; checkpoints/ until it is finished; diverged.txt if training diverged
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from radapter.data import Memory
from radapter.errors import ConfigError, DivergedError
from radapter.evaluation import HEADLINES, Measured, Metrics, TaskName
from radapter.manifests import MANIFEST, check_recorded, forget, record
from radapter.methods import Method, find_method
from radapter.methods.rates import default_rate
from radapter.models import DualEncoder
from radapter.runs.alpha_sweep import FILES, FOR_REPORTS, AlphaRule, AlphaSweep, TestedAlphas
from radapter.runs.evaluator import Evaluator, Validator
from radapter.runs.fine_tuning import seed_of_draw, soup, train_method
from radapter.runs.tracking import tracked
from radapter.runs.weights import HEAD, TRAINED, WEIGHTS, Trained, load_trained, save_trained
from radapter.schemas import read_as
from radapter.storage import load_weights, save_tensors, write_json, write_text
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import Checkpoints, Environment, Progress

_LOG = logging.getLogger(__name__)
ZERO_SHOT = "zero-shot"
_CHECKPOINTS, _DIVERGED = "checkpoints", "diverged.txt"
_VALIDATION, _VALIDATION_VALUES, _KEY = "validation.json", "validation.safetensors", "pseudo_values"


class RunStore:
    """Trains methods, validates and evaluates them, and keeps the results.

    Args:
        folder: Of this comparison alone.
        load: Returns a fresh model.
        suite_of_seed: Seed -> the data; the same every time if the data are fixed.
        recipe: Common to all methods, except for the learning rate and the loss.
        environment: Memory, stop signal and callbacks.
        starting: Called with what begins, such as "[3/22] training full, rate 0.001, seed 0".
        tested: Alphas at which the test sets are evaluated; see `AlphaRule`.
    """

    def __init__(
        self,
        folder: Path,
        load: Callable[[], DualEncoder],
        suite_of_seed: Callable[[int], Suite],
        recipe: Recipe,
        *,
        environment: Environment | None = None,
        starting: Callable[[str], None] = lambda _: None,
        tested: TestedAlphas = "all",
    ) -> None:
        environment = environment or Environment()
        self._environment = replace(environment, memory=environment.memory or Memory())
        self._folder, self._load, self._suite_of_seed, self._recipe = folder, load, suite_of_seed, recipe
        self._starting, self._rule = starting, AlphaRule(tested=tested)
        self._expected, self._numbers = 0, dict[Path, int]()
        self._suite = lru_cache(1)(self._checked_suite)
        self._evaluator = lru_cache(1)(self._evaluator_of)

    def expect(self, trainings: int) -> None:
        """Number the trainings in what `starting` receives; a comparison has `trainings` of them."""
        self._expected = trainings

    def encoder(self) -> DualEncoder:
        """A fresh model."""
        return self._load()

    def task(self, seed: int) -> TaskName:
        """The task of the data of a seed."""
        return self._suite(seed).task

    def validated(self, method: Method, rate: float, seed: int) -> Measured | None:
        """Metrics and pseudo-values of a run on ID validation, at alpha 1; None if its training diverges.

        Raises ConfigError if the suite has no ID validation.
        """
        place = self.folder(method, (rate,), seed)
        self._number(place)
        file, values = place / _VALIDATION, place / _VALIDATION_VALUES
        if (place / _DIVERGED).is_file():
            return None
        if not (file.is_file() and values.is_file()):
            try:
                trained = self.trained(method, rate, seed)
                found = self._validator(trained, seed).measured(trained.classifier)
            except DivergedError:
                _LOG.warning(
                    "%s diverges at learning rate %g. It continues without this rate.", method.name, rate
                )
                return None
            save_tensors(values, {_KEY: found.pseudo_values})
            write_json(file, found.metrics)
            record(place, _VALIDATION, _VALIDATION_VALUES)
        check_recorded(place, _VALIDATION, _VALIDATION_VALUES)
        return Measured(read_as(file, Metrics, reads=(1,)), load_weights(values)[_KEY])

    def trained(self, method: Method, rate: float | None, seed: int, draw: int = 0) -> Trained:
        """The trained method of a run, which is no soup; rate None is the method's own. Further draws have the same
        data and seeds of their own.

        Raises DivergedError if training diverges, or did so before.
        """
        place = self.folder(method, () if rate is None else (rate,), seed)
        place = place.with_name(f"{place.name}-draw-{draw}") if draw else place
        number = self._number(place)
        if (place / _DIVERGED).is_file():
            raise DivergedError((place / _DIVERGED).read_text(encoding="utf-8").strip())
        encoder = self._load()
        if (place / TRAINED).is_file():
            return load_trained(place, encoder)
        peak = rate or default_rate(method, encoder.image_width)
        name = f"{method.name}, learning rate {peak:.4g}, seed {seed}"
        at = f"rate {peak:.4g}, seed {seed}" if method.is_optimized else f"seed {seed}"
        counter = f"[{number}/{self._expected}] " if self._expected else ""
        self._starting(f"{counter}training {method.name}, {at}")
        place.mkdir(parents=True, exist_ok=True)
        try:
            with tracked(place, "none") as log:

                def report(step: Progress) -> None:
                    log.step(step)
                    self._environment.report(step)

                trained = train_method(
                    method,
                    encoder,
                    self._suite(seed),
                    replace(self._recipe.with_own_loss(method), learning_rate=rate),
                    seed=seed_of_draw(seed, draw),
                    checkpoints=Checkpoints(place / _CHECKPOINTS),
                    resume=True,
                    environment=replace(self._environment, report=report, validated=log.epoch),
                )
        except DivergedError as error:
            shutil.rmtree(place / _CHECKPOINTS, ignore_errors=True)
            write_text(place / _DIVERGED, f"{name}: {error}\n")
            raise DivergedError(f"{name}: {error}") from error
        save_trained(place, trained, alpha=1.0, about=self._about(encoder, seed))
        shutil.rmtree(place / _CHECKPOINTS, ignore_errors=True)
        return trained

    def mixed(self, method: Method, rates: Sequence[float], seed: int) -> Trained:
        """The weights that a method makes of the trainings at these rates; a soup leaves out those that diverged.

        Raises ConfigError if a soup has no rates, and DivergedError if all of them diverged.
        """
        place = self.folder(method, rates, seed)
        single = find_method(method.runs, self.task(seed))
        for rate in rates:
            self._number(self.folder(single, (rate,), seed))
        if (place / TRAINED).is_file():
            return load_trained(place, self._load())
        if not rates and method.spans_rates:
            raise ConfigError(f"'{method.name}' averages trainings at several learning rates. Got none.")
        known: list[float | None] = [*rates] or [None]
        if method.spans_rates:
            known = [rate for rate in rates if self.validated(single, rate, seed) is not None]
        if not known:
            raise DivergedError(
                f"'{method.name}' has nothing to average: {single.name} diverged at every rate."
            )
        ingredients = [
            self.trained(single, rate, seed, draw) for rate in known for draw in range(method.draws)
        ]
        mixed = soup(method, ingredients, self._validator(ingredients[0], seed))
        place.mkdir(parents=True, exist_ok=True)
        save_trained(place, mixed, alpha=1.0, about=self._about(mixed.classifier.encoder, seed))
        return mixed

    def zero_shot(self, seed: int) -> AlphaSweep:
        """The model before training, on the data of a seed."""
        place = self._folder / ZERO_SHOT / seed_folder(seed)
        return _kept(place, lambda: self._evaluator(seed).zero_shot(self._load()))

    def sweep(self, trained: Trained, seed: int, rates: Sequence[float]) -> AlphaSweep:
        """The rows of a run at every tested alpha: the only place where test sets are read.

        `rates` is one learning rate, those of a soup, or none for the method's own.
        """
        task = self.task(seed)
        place = self.folder(find_method(trained.record.method, task), rates, seed)

        def make() -> AlphaSweep:
            tested = self._rule.tests(HEADLINES[task])
            return self._evaluator(seed).sweep(trained, self.zero_shot(seed), tested=tested)

        return _kept(place, make)

    def forget(self, method: Method, rate: float, seed: int) -> None:
        """Removes the weights of a run that is not needed again; its metrics on ID validation stay."""
        place = self.folder(method, (rate,), seed)
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in (_VALIDATION, _VALIDATION_VALUES, _DIVERGED, MANIFEST, *FILES, *FOR_REPORTS):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        forget(place, TRAINED, WEIGHTS, HEAD)

    def folder(self, method: Method, rates: Sequence[float], seed: int) -> Path:
        """Returns the folder of a run at one rate, of a soup of several, or at the method's own rate for none."""
        numbers = "-".join(f"{rate:g}" for rate in rates) or "own"
        return self._folder / method.name.replace(":", "-") / seed_folder(seed) / f"lr-{numbers}"

    def _number(self, place: Path) -> int:
        """The number of a training in this comparison, also if it was trained before."""
        return self._numbers.setdefault(place, len(self._numbers) + 1)

    def _about(self, encoder: DualEncoder, seed: int) -> dict[str, Any]:
        """The facts that `merge` needs."""
        suite = self._suite(seed)
        return {"model": encoder.name, "task": suite.task, "seed": seed, **suite.about()}

    def _checked_suite(self, seed: int) -> Suite:
        suite = self._suite_of_seed(seed)
        check_disjoint(suite)
        return suite

    def _evaluator_of(self, seed: int) -> Evaluator:
        return Evaluator(self._suite(seed), self._load(), self._recipe, self._environment)

    def _validator(self, trained: Trained, seed: int) -> Validator:
        suite, encoder = self._suite(seed).sealed(), trained.classifier.encoder
        return Validator(suite, encoder, self._recipe, self._environment)


def seed_folder(seed: int) -> str:
    """Returns the name of the folder of a seed."""
    return f"seed-{seed}"


def _kept(place: Path, make: Callable[[], AlphaSweep]) -> AlphaSweep:
    found = AlphaSweep.read(place)
    if found is None:
        found = make()
        found.write(place)
    return found
