"""One method on one suite: train, sweep alpha, choose it on ID validation, report.

`train_method` gives a `Trained`; `Bench` evaluates it on every set at every alpha; `row_at` makes the row of a
table. Nothing here reads an OOD label before the last evaluation: alpha is chosen from `id_val` alone.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from radapter.adapter import Ema, auto_decay
from radapter.data import EvalLoader, Memory, TrainLoader
from radapter.errors import ConfigError
from radapter.evaluation import (
    ALPHAS,
    Metrics,
    alpha_sweep,
    forgetting,
    smallest_within_one_standard_error,
)
from radapter.methods import (
    FeatureLoss,
    LossName,
    Method,
    bound_loss,
    count_trained,
    trained_parameters,
)
from radapter.models import DualEncoder, fingerprint
from radapter.protocol.recipe import Recipe
from radapter.protocol.results import Row, Selection, SweepRow
from radapter.protocol.suite import Suite
from radapter.protocol.trained import Classifier, Trained
from radapter.training import Checkpoints, ClassCaptions, Progress, StopSignal, fit, make_accelerator
from radapter.zeroshot import class_embeddings

_WITHIN = "smallest alpha within one standard error, sqrt(a (1 - a) / n), of the best top-1 a"


def train_method(
    method: Method,
    encoder: DualEncoder,
    suite: Suite,
    recipe: Recipe,
    *,
    seed: int,
    memory: Memory | None = None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    stop: StopSignal | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Trained:
    """Trains one method.

    Args:
        method: a row of `METHODS` that trains something.
        encoder: fresh; changed in place and part of the outcome.
        suite: its training set and class names are read, nothing else.
        recipe: every number of the training.
        seed: fixes weights, order, augmentation, captions and dropping.
        memory: for decoded training images.
        checkpoints, resume, stop, report: as for `training.fit`.

    Raises:
        ConfigError: the loss does not fit the method.
    """
    if method.build is None:
        raise ConfigError(f"method '{method.name}' trains nothing.")
    started = time.perf_counter()
    base = fingerprint(encoder)
    accelerator = make_accelerator(recipe.precision)
    encoder.to(accelerator.device)
    head = class_embeddings(encoder, suite.classnames, suite.templates)
    torch.manual_seed(seed)
    learner, adapters = method.build(
        encoder, head=head, loss=_loss_of(method, recipe, encoder), adapter=recipe.adapter
    )
    learner.to(accelerator.device)
    before = {
        name: parameter.detach().clone()
        for name, parameter in trained_parameters(learner).items()
        if adapters is None or name == "head"
    }
    loader = TrainLoader(
        suite.train,
        encoder.preprocess,
        image_size=encoder.image_size,
        batch_size=recipe.batch_size,
        seed=seed,
        crop_scale=recipe.crop_scale,
        flip=recipe.flip,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=memory,
    )
    steps = recipe.epochs * loader.steps_per_epoch
    ema = Ema(learner, decay=auto_decay(steps) if recipe.ema_decay == "auto" else recipe.ema_decay)
    learning_rate = recipe.learning_rate or method.learning_rate
    trained_count = count_trained(learner)
    fit(
        learner,
        ema,
        loader,
        ClassCaptions(suite.classnames, suite.templates, encoder.tokenize, seed=seed),
        accelerator,
        epochs=recipe.epochs,
        learning_rate=learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=steps // 10 if recipe.warmup_steps is None else recipe.warmup_steps,
        grad_clip=recipe.grad_clip,
        seed=seed,
        max_skipped=recipe.max_skipped,
        checkpoints=checkpoints,
        checkpoint_every=recipe.checkpoint_every,
        resume=resume,
        stop=stop,
        report=report,
    )
    ema.adopt()
    classifier = Classifier(encoder, learner.head)
    classifier.eval()
    return Trained(
        method=method.name,
        classifier=classifier,
        adapters=adapters,
        base=base,
        before=before,
        trained_parameters=trained_count,
        learning_rate=learning_rate,
        seconds=time.perf_counter() - started,
    )


def check_loss(method: Method, loss: LossName | None) -> None:
    """Raises where a method cannot be trained with a loss.

    Raises:
        ConfigError: the message names the losses that fit.
    """
    if loss is not None and loss not in method.losses:
        known = ", ".join(method.losses) or "none, since it trains nothing"
        raise ConfigError(f"loss.name for method '{method.name}' must be one of: {known}. Got '{loss}'.")


class Bench:
    """The evaluation sets of a suite, decoded once and replayed for every method.

    Args:
        suite: its validation and test sets are read.
        preprocess: picture to tensor.
        batch_size: pictures a batch.
        max_bad: fraction of a set that may be unreadable.
        workers: decoding threads.
        memory: for preprocessed pictures.
        progress: told of (set name, images) as they are evaluated.
    """

    def __init__(
        self,
        suite: Suite,
        preprocess: Callable[..., Tensor],
        *,
        batch_size: int = 256,
        max_bad: float = 0.01,
        workers: int = 0,
        memory: Memory | None = None,
        progress: Callable[[str, int], None] | None = None,
    ) -> None:
        self._suite = suite
        self._progress = progress
        named = {
            **({} if suite.id_val is None else {("id_val", suite.id_val.name): suite.id_val}),
            **{("id", name): data for name, data in suite.id_test.items()},
            **{("ood", name): data for name, data in suite.ood.items()},
        }
        self._loaders = {
            f"{role}/{name}": EvalLoader(
                data, preprocess, batch_size=batch_size, max_bad=max_bad, workers=workers, memory=memory
            )
            for (role, name), data in named.items()
        }
        self._classes = {
            f"{role}/{name}": data.candidates
            for (role, name), data in named.items()
            if data.candidates is not None
        }

    def zero_shot(self, encoder: DualEncoder) -> SweepRow:
        """The model as it is, as the row "zero-shot" at alpha 0."""
        return self._rows("zero-shot", Classifier(encoder, None), lambda _: nullcontext(), (0.0,), {})[0]

    def sweep(
        self, trained: Trained, zero_shot: SweepRow | None = None, alphas: Sequence[float] = ALPHAS
    ) -> list[SweepRow]:
        """The rows of one method at every alpha.

        Args:
            trained: the method's outcome.
            zero_shot: what alpha 0 gives; it is the same for every method and is not computed again.
            alphas: each in [0, 1].
        """
        known = {} if zero_shot is None else {0.0: _by_loader(zero_shot, self._suite)}
        with trained.interpolation() as interpolation:
            return self._rows(trained.method, trained.classifier, interpolation.at, alphas, known)

    def id_val_sweep(self, trained: Trained, alphas: Sequence[float] = ALPHAS) -> dict[float, Metrics]:
        """The metrics on ID validation at every alpha: all that a search may see."""
        names = [name for name in self._loaders if name.startswith("id_val/")]
        with trained.interpolation() as interpolation:
            found = self._metrics(trained.classifier, interpolation.at, alphas, {}, names)
        return {alpha: metrics[names[0]] for alpha, metrics in found.items()}

    def _rows(
        self,
        method: str,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        known: Mapping[float, Mapping[str, Metrics]],
    ) -> list[SweepRow]:
        found = self._metrics(classifier, at, alphas, known, list(self._loaders))
        return [
            SweepRow.of(
                method,
                alpha,
                id_val=next(iter(_of_role("id_val", metrics).values()), None),
                id=_of_role("id", metrics),
                ood=_of_role("ood", metrics),
            )
            for alpha, metrics in found.items()
        ]

    def _metrics(
        self,
        classifier: Classifier,
        at: Callable[[float], AbstractContextManager[object]],
        alphas: Sequence[float],
        known: Mapping[float, Mapping[str, Metrics]],
        names: Sequence[str],
    ) -> dict[float, dict[str, Metrics]]:
        return alpha_sweep(
            classifier.encoder,
            at,
            lambda: classifier.class_head(self._suite.classnames, self._suite.templates),
            {name: self._loaders[name] for name in names},
            alphas,
            known=known,
            classes=self._classes,
            progress=self._progress,
        )


def bench_of(
    suite: Suite,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    memory: Memory,
    progress: Callable[[str, int], None] | None = None,
) -> Bench:
    """The bench of a suite with the loading settings of a recipe."""
    return Bench(
        suite,
        encoder.preprocess,
        batch_size=recipe.eval_batch_size,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=memory,
        progress=progress,
    )


def choose_alpha(sweep: Sequence[SweepRow], alpha: float | Literal["auto"]) -> tuple[float, Selection]:
    """The alpha a row stands at, and what chose it.

    Args:
        sweep: one method's rows.
        alpha: a number, or "auto" for the one-standard-error rule on ID validation.

    Raises:
        ConfigError: "auto" without ID validation.
    """
    if alpha != "auto":
        return alpha, Selection(split=None, rule=f"alpha given as {alpha:g}", n=0)
    validated = [(row.alpha, row.id_val) for row in sweep if row.id_val is not None]
    if not validated:
        raise ConfigError("adapter.alpha auto needs data.id_val. Give it, or a number for adapter.alpha.")
    n = int(validated[0][1]["n"])
    chosen = smallest_within_one_standard_error(
        [a for a, _ in validated], [metrics["top1"] for _, metrics in validated], n
    )
    return chosen, Selection(split="id_val", rule=_WITHIN, n=n)


def row_at(
    alpha: float,
    sweep: Sequence[SweepRow],
    zero_shot: SweepRow,
    *,
    trained: Trained,
    method: str | None = None,
) -> Row:
    """The table's row of one method at one alpha of its sweep.

    Args:
        alpha: one of the sweep's.
        sweep: the method's rows.
        zero_shot: what forgetting is measured against.
        trained: the method's outcome.
        method: the row's name, where it is not the trained method's (WiSE-FT stands on `full`).
    """
    at = next(row for row in sweep if row.alpha == alpha)
    return Row(
        method=method or trained.method,
        alpha=alpha,
        trained_parameters=trained.trained_parameters,
        learning_rate=trained.learning_rate,
        id=at.id,
        ood=at.ood,
        id_mean=at.id_mean,
        ood_mean=at.ood_mean,
        forgetting=forgetting(zero_shot.id | zero_shot.ood, at.id | at.ood),
        seconds=trained.seconds,
    )


def zero_shot_row(zero_shot: SweepRow) -> Row:
    """The table's row of the model as it came."""
    return Row(
        method="zero-shot",
        alpha=0.0,
        trained_parameters=0,
        learning_rate=None,
        id=zero_shot.id,
        ood=zero_shot.ood,
        id_mean=zero_shot.id_mean,
        ood_mean=zero_shot.ood_mean,
        forgetting=dict.fromkeys(zero_shot.id | zero_shot.ood, 0.0),
        seconds=0.0,
    )


def _loss_of(method: Method, recipe: Recipe, encoder: DualEncoder) -> FeatureLoss:
    check_loss(method, recipe.loss)
    return bound_loss(
        recipe.loss or method.losses[0],
        margin=recipe.margin,
        label_smoothing=recipe.label_smoothing,
        logit_bias=encoder.logit_bias,
    )


def _of_role(role: str, metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    return {name.removeprefix(f"{role}/"): m for name, m in metrics.items() if name.startswith(f"{role}/")}


def _by_loader(row: SweepRow, suite: Suite) -> dict[str, Metrics]:
    val = {} if row.id_val is None or suite.id_val is None else {f"id_val/{suite.id_val.name}": row.id_val}
    return val | {f"id/{n}": m for n, m in row.id.items()} | {f"ood/{n}": m for n, m in row.ood.items()}
