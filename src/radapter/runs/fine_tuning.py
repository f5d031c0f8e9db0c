"""One method, trained: from a fresh encoder and a training set to a `Trained`.

Training gets the suite with its test sets sealed, so that nothing here can read them.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from radapter.adapter import Ema, auto_decay
from radapter.data import Memory
from radapter.data.memory import Lease
from radapter.errors import ConfigError, ModelError
from radapter.losses import FeatureLoss, LossName, bound_loss
from radapter.methods import (
    Method,
    count_trained,
    find_method,
    greedy_soup,
    trained_parameters,
    trained_towers,
    uniform_soup,
)
from radapter.methods.rates import default_rate, head_rate, multiplier
from radapter.models import DualEncoder, fingerprint
from radapter.processes import ALONE, Processes
from radapter.runs.best_epoch import BestEpoch
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.zeroshot import Classifier
from radapter.runs.outcome import Trained
from radapter.runs.validation import Validation
from radapter.training import (
    Checkpoints,
    Progress,
    StopSignal,
    Stopwatch,
    fit,
    frozen_text_features,
    make_accelerator,
    sample_step,
    step_bytes,
)
from radapter.zeroshot import LinearHead


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
    processes: Processes = ALONE,
) -> Trained:
    """Trains one method.

    Args:
        method: a row of `METHODS` that trains something.
        encoder: fresh; changed in place, and part of the outcome unless that is a soup.
        suite: its training set and class names are read, and its ID validation where something is chosen on it.
        recipe: every number of the training; what the method fixes goes before it.
        seed: fixes weights, order, augmentation, captions and dropping.
        memory: for decoded images.
        checkpoints, resume, stop, report, processes: as for `training.fit`.

    Raises:
        ConfigError: the loss does not fit the method, or something is to be chosen and there is no ID validation.
        ModelError: a forward pass in training mode changes a buffer of the encoder.
    """
    if method.build is None:
        raise ConfigError(f"method '{method.name}' trains nothing.")
    recipe, suite = recipe.of(method), suite.sealed()

    def stage(name: str) -> Checkpoints | None:
        return None if checkpoints is None else Checkpoints(checkpoints.folder / name)

    train = partial(
        _trained,
        suite=suite,
        seed=seed,
        memory=memory,
        resume=resume,
        stop=stop,
        report=report,
        processes=processes,
    )
    if method.averages is not None:
        rates = soup_rates(recipe.learning_rate or default_rate(method, encoder.image_width))
        ingredients = [
            train(
                find_method(method.runs, suite.task),
                copy.deepcopy(encoder),
                replace(recipe, learning_rate=rate),
                checkpoints=stage(f"{number}"),
            )
            for number, rate in enumerate(rates)
        ]
        validation = Validation(suite, encoder, recipe, memory=memory, processes=processes)
        return soup(method, ingredients, validation)
    if method.after is None:
        return train(method, encoder, recipe, checkpoints=checkpoints)
    check_epochs(method, recipe.epochs)
    first = find_method(method.after, suite.task)
    width = encoder.image_width
    factor = multiplier(method, width, recipe.learning_rate)
    shorter = replace(recipe, epochs=recipe.epochs // 2, learning_rate=factor * default_rate(first, width))
    before = train(first, encoder, shorter, checkpoints=stage(first.name))
    rest = replace(recipe, epochs=recipe.epochs - shorter.epochs)
    then = train(method, encoder, rest, head=before.classifier.head, checkpoints=checkpoints)
    return replace(
        then,
        before={**then.before, **before.before},  # alpha 0 is zero-shot, not the probe
        seconds=before.seconds + then.seconds,
        epochs=recipe.epochs,
    )


def soup_rates(learning_rate: float) -> tuple[float, ...]:
    """The learning rates of a soup's ingredients where no grid is given: one lower, its own, one higher."""
    return (learning_rate / 3, learning_rate, learning_rate * 3)


def soup(method: Method, ingredients: Sequence[Trained], validation: Validation) -> Trained:
    """The average of trainings of one base model.

    Args:
        method: says which average.
        ingredients: changed: the first one's classifier carries the soup.
        validation: scores what a greedy soup adds.

    Raises:
        ConfigError: the ingredients have different base models.
    """
    first = ingredients[0]
    if len({trained.base for trained in ingredients}) > 1:
        raise ConfigError("a soup must be of one base model. These trainings started from different ones.")
    carrier = first.classifier
    weights = []
    for trained in ingredients:
        state = trained.classifier.state_dict()
        weights.append({name: state[name].detach().clone() for name in first.before})

    def score(state: object) -> float:
        carrier.load_state_dict(state, strict=False)  # type: ignore[arg-type]
        return validation.headline.score(validation.metrics(carrier))

    mixed = uniform_soup(weights) if method.averages == "uniform" else greedy_soup(weights, score)[0]
    carrier.load_state_dict(mixed, strict=False)
    return replace(
        first,
        method=method.name,
        learning_rate=None,
        head_learning_rate=None,
        seconds=sum(trained.seconds for trained in ingredients),
        epochs=sum(trained.epochs for trained in ingredients),
    )


def loss_of(method: Method, recipe: Recipe, encoder: DualEncoder) -> FeatureLoss:
    """Returns the loss that a method is trained with, its settings bound.

    Raises:
        ConfigError: the loss does not fit the method or the model, or does not take a setting.
    """
    check_loss(method, recipe.loss)
    return bound_loss(
        recipe.loss or method.losses[0],
        margin=recipe.margin,
        label_smoothing=recipe.label_smoothing,
        logit_bias=encoder.logit_bias,
    )


def check_loss(method: Method, loss: LossName | None) -> None:
    """Raises where a method cannot be trained with a loss.

    Raises:
        ConfigError: the message names the losses that fit.
    """
    if loss is not None and loss not in method.losses:
        known = ", ".join(method.losses) or "none, since it trains nothing"
        raise ConfigError(f"loss.name for method '{method.name}' must be one of: {known}. Got '{loss}'.")


def check_epochs(method: Method, epochs: int) -> None:
    """Raises where a method that is trained in two stages has no epoch for one of them.

    Raises:
        ConfigError: the message names the stages.
    """
    if method.after is not None and epochs < 2:
        raise ConfigError(
            f"train.epochs must be at least 2 for '{method.name}', half of them for '{method.after}'. "
            f"Got {epochs}. Give more."
        )


def _trained(
    method: Method,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    suite: Suite,
    head: LinearHead | None = None,
    seed: int,
    memory: Memory | None,
    checkpoints: Checkpoints | None,
    resume: bool,
    stop: StopSignal | None,
    report: Callable[[Progress], None],
    processes: Processes,
) -> Trained:
    """One stage of training, from the zero-shot head or from `head`."""
    assert method.build is not None
    watch = Stopwatch()
    base = fingerprint(encoder)
    accelerator = make_accelerator(recipe.precision)
    encoder.to(accelerator.device)
    if head is None:
        head = suite.head(encoder, processes)
    torch.manual_seed(seed)
    learner, adapters = method.build(
        encoder, head=head, loss=loss_of(method, recipe, encoder), settings=recipe.settings
    )
    learner.to(accelerator.device)
    of_head = [] if learner.head is None else [id(parameter) for parameter in learner.head.parameters()]
    before = {
        name: parameter.detach().clone()
        for name, parameter in trained_parameters(learner).items()
        if adapters is None or id(parameter) in of_head
    }
    loader, captions = suite.training(encoder, recipe, seed=seed, memory=memory, processes=processes)
    steps = recipe.epochs * loader.steps_per_epoch
    ema = Ema(learner, decay=auto_decay(steps) if recipe.ema_decay == "auto" else recipe.ema_decay)
    best = None
    if recipe.keep == "best":
        validation = Validation(suite, encoder, recipe, memory=memory, processes=processes)
        best = BestEpoch(
            ema,
            lambda: validation.metrics(Classifier(encoder, learner.head), stop=stop),
            validation.headline.is_better,
            folder=None if checkpoints is None else checkpoints.folder / "best-epoch",
            resume=resume,
            processes=processes,
        )
    width = encoder.image_width
    learning_rate = recipe.learning_rate or default_rate(method, width)
    head_learning_rate = head_rate(method, width, recipe.learning_rate)
    trained_count = count_trained(learner)
    learner.train()
    memory_bytes = text_features = None
    lease = Lease(memory or Memory())
    if not recipe.fsdp:  # a learner that does not fit a device whole cannot be asked before it is parted
        text_features = frozen_text_features(
            learner,
            captions,
            lease,
            device=accelerator.device,
            autocast=accelerator.autocast,
            batch_size=recipe.eval_batch_size,
            processes=processes,
        )
    towers = trained_towers(method, recipe.settings)
    with encoder.checkpointing(towers) if recipe.gradient_checkpointing else nullcontext():
        if not recipe.fsdp:  # of a learner that does not fit a device whole there is nothing to count
            first = sample_step(
                learner,
                loader,
                captions,
                accelerator,
                chunk_size=recipe.chunk_size,
                text_features=text_features,
            )
            with _unchanged_buffers(encoder):
                memory_bytes = step_bytes(learner, first)
        fit(
            learner,
            ema,
            loader,
            captions,
            accelerator,
            epochs=recipe.epochs,
            learning_rate=learning_rate,
            head_learning_rate=head_learning_rate,
            weight_decay=recipe.weight_decay,
            warmup_steps=steps // 10 if recipe.warmup_steps is None else recipe.warmup_steps,
            grad_clip=recipe.grad_clip,
            seed=seed,
            max_skipped=recipe.max_skipped,
            chunk_size=recipe.chunk_size,
            text_features=text_features,
            checkpoints=checkpoints,
            checkpoint_every=recipe.checkpoint_every,
            checkpoint_minutes=recipe.checkpoint_minutes,
            resume=resume,
            stop=stop,
            watch=watch,
            report=report,
            after_epoch=best,
            processes=processes,
            fsdp=recipe.fsdp,
        )
    lease.release()
    learner.to(accelerator.device)
    if best is not None:
        best.restore()
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
        head_learning_rate=head_learning_rate,
        epochs=recipe.epochs,
        epoch=None if best is None or best.epoch is None else best.epoch + 1,
        seconds=watch.seconds,
        step_bytes=memory_bytes,
    )


@contextmanager
def _unchanged_buffers(encoder: DualEncoder) -> Iterator[None]:
    """A block that trains for one forward pass.

    Raises:
        ModelError: it changed a buffer, which no run saves. `adapter.statistics` holds those of known layers.
    """
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    yield
    for name, buffer in encoder.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise ModelError(
                f"buffers of '{encoder.name}' must not change in training, because a run saves trained parameters "
                f"only. '{name.removeprefix('module.')}' changed in a forward pass. Choose a model without such a "
                "layer."
            )
