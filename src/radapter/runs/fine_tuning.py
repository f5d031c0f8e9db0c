"""Trains one method: from a fresh encoder and a training set to a `Trained`.

Training receives the suite with its test sets sealed, so that nothing here can read them.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from peft import PeftModel
from torch import Tensor

from radapter.adapter import Ema, auto_decay, block_names
from radapter.adapter.config import TOWERS
from radapter.data import Memory
from radapter.data.memory import Lease
from radapter.errors import ConfigError, ModelError
from radapter.evaluation import Measured, Metrics, smallest_within_paired_error
from radapter.losses import LOSSES, FeatureLoss, LossName, Parts, bound_loss
from radapter.methods import Method, find_method, greedy_soup, trained_towers, uniform_soup
from radapter.methods.anchor import anchor
from radapter.methods.learner import Learner, count_trained, trained_parameters
from radapter.methods.lines import ALPHAS, lines
from radapter.methods.method import EncodedOnce
from radapter.methods.model_stock import model_stock
from radapter.methods.rates import default_rate, head_rate, multiplier
from radapter.models import DualEncoder, fingerprint
from radapter.runs.best_epoch import BestEpoch
from radapter.runs.evaluator import Validator
from radapter.runs.weights import Trained, TrainingRecord
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite
from radapter.training import (
    Checkpoints,
    Environment,
    Optimization,
    Saving,
    TrainingData,
    fit,
    make_accelerator,
)
from radapter.training.captions import frozen_text_features
from radapter.training.encoded import encoded_images
from radapter.training.memory import first_loss, step_bytes
from radapter.zeroshot import Classifier, LinearHead


def train_method(
    method: Method,
    encoder: DualEncoder,
    suite: Suite,
    recipe: Recipe,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    environment: Environment | None = None,
) -> Trained:
    """Trains a method that trains something, with everything drawn from one seed.

    The encoder must be fresh; it is changed in place, and is part of the result unless that is a soup. The method's
    fixed settings take precedence over the recipe. With `resume`, training continues from the newest undamaged
    checkpoint, if there is one.

    Raises:
        ConfigError: The loss does not fit the method, or something is to be chosen and there is no ID validation.
        ModelError: A forward pass in training mode changes a buffer of the encoder.
        DivergedError, DiskError, Interrupted: As in `training.fit`.
    """
    if method.build is None:
        raise ConfigError(f"method '{method.name}' trains nothing.")
    recipe, suite, environment = recipe.of(method), suite.sealed(), environment or Environment()

    def saving(stage: str = "") -> Saving:
        staged = Checkpoints(checkpoints.folder / stage) if checkpoints and stage else checkpoints
        return Saving(staged, resume, recipe.checkpoint_every, recipe.checkpoint_minutes)

    train = partial(_trained, suite=suite, seed=seed, environment=environment)
    if method.averages is not None:
        rate = recipe.learning_rate or default_rate(method, encoder.image_width)
        trainings = [
            (rate, draw)
            for rate in (soup_rates(rate) if method.spans_rates else (rate,))
            for draw in range(method.draws)
        ]
        single = find_method(method.runs, suite.task)
        ingredients = [
            train(
                single,
                copy.deepcopy(encoder),
                replace(recipe, learning_rate=rate),
                saving(f"{number}"),
                seed=seed_of_draw(seed, draw),
            )
            for number, (rate, draw) in enumerate(trainings)
        ]
        return soup(method, ingredients, Validator(suite, encoder, recipe, environment))
    if method.after is None:
        return train(method, encoder, recipe, saving())
    check_epochs(method, recipe.epochs)
    first = find_method(method.after, suite.task)
    width = encoder.image_width
    factor = multiplier(method, width, recipe.learning_rate)
    shorter = replace(recipe, epochs=recipe.epochs // 2, learning_rate=factor * default_rate(first, width))
    before = train(first, encoder, shorter, saving(first.name))
    rest = replace(recipe, epochs=recipe.epochs - shorter.epochs)
    head = before.classifier.head
    assert isinstance(head, LinearHead)
    then = train(method, encoder, rest, saving(), head=head)
    seconds = before.record.seconds + then.record.seconds
    return replace(
        then,
        before={**then.before, **before.before},  # alpha 0 is zero-shot, not the probe
        record=then.record.model_copy(update={"seconds": seconds, "epochs": recipe.epochs}),
    )


def seed_of_draw(seed: int, draw: int) -> int:
    """The seed of the trainings of one run that differ in nothing else; draw 0 has the run's own."""
    return seed + 7919 * draw


def soup_rates(learning_rate: float) -> tuple[float, ...]:
    """The learning rates of a soup's ingredients without a grid: one lower, its own, one higher."""
    return (learning_rate / 3, learning_rate, learning_rate * 3)


def soup(method: Method, ingredients: Sequence[Trained], validator: Validator) -> Trained:
    """Makes a method's weights from trainings of one base model; the validator scores candidates.

    The first ingredient's classifier carries the soup. Raises ConfigError if the base models differ.
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
        return validator.headline.score(validator.measured(carrier).metrics)

    def measured(alpha: float) -> Measured:
        carrier.load_state_dict(lines(first.before, weights[0], blocks, alpha), strict=False)
        return validator.measured(carrier)

    if method.averages == "uniform":
        mixed = uniform_soup(weights)
    elif method.averages == "greedy":
        mixed = greedy_soup(weights, score)[0]
    elif method.averages == "stock":
        mixed = model_stock(first.before, weights)
    else:
        blocks = _numbered_blocks(carrier.encoder)
        found = [measured(alpha) for alpha in ALPHAS]
        scores = [validator.headline.score(each.metrics) for each in found]
        chosen = smallest_within_paired_error(ALPHAS, scores, [each.pseudo_values for each in found]).value
        mixed = lines(first.before, weights[0], blocks, chosen)
    carrier.load_state_dict(mixed, strict=False)
    changes = {
        **{"method": method.name},
        **({"learning_rate": None, "head_learning_rate": None} if method.spans_rates else {}),
        "seconds": sum(trained.record.seconds for trained in ingredients),
        "epochs": sum(trained.record.epochs for trained in ingredients),
    }
    return replace(first, record=first.record.model_copy(update=changes))


def _numbered_blocks(encoder: DualEncoder) -> dict[str, tuple[int, int]]:
    """Each block by its name in a classifier: its number in its tower, and the tower's number of blocks."""
    found: dict[str, tuple[int, int]] = {}
    for tower in TOWERS:
        names = block_names(encoder.module, (tower,))
        found |= {f"encoder.module.{name}": (number, len(names)) for number, name in enumerate(names)}
    return found


def loss_of(method: Method, recipe: Recipe, encoder: DualEncoder) -> FeatureLoss:
    """Returns the loss of a method with its settings bound. Raises ConfigError if the loss does not fit the method
    or the model, or does not take a setting."""
    check_loss(method, recipe.loss)
    name = recipe.loss or method.losses[0]
    bound = partial(bound_loss, name, margin=recipe.margin, label_smoothing=recipe.label_smoothing)
    loss = bound(logit_bias=encoder.logit_bias)
    if not (recipe.train_scale and LOSSES[name].reads_logit_bias):
        return loss

    def with_trained_bias(
        images: Tensor, texts: Tensor, targets: Tensor, scale: Tensor, parts: Parts | None = None
    ) -> Tensor:
        return loss(images, texts, targets, scale, parts, logit_bias=encoder.logit_bias)  # type: ignore[call-arg]

    return with_trained_bias


def check_loss(method: Method, loss: LossName | None) -> None:
    """Raises ConfigError, which names the losses that fit, if a method cannot be trained with a loss."""
    if loss is not None and loss not in method.losses:
        known = ", ".join(method.losses) or "none, since it trains nothing"
        raise ConfigError(f"loss.name for method '{method.name}' must be one of: {known}. Got '{loss}'.")


def check_contrastive(method: Method, *, anchor: float | None, train_scale: bool | None) -> None:
    """Raises ConfigError if an option of contrastive methods is given for another method."""
    for key, given, more in (
        ("anchor", anchor, "; car-ft and lipsum-ft have such a term for a head"),
        ("train_scale", train_scale, ""),
    ):
        if given is not None and not method.is_contrastive:
            raise ConfigError(
                f"loss.{key} is for contrastive methods. Got {given} with method '{method.name}'. Leave it "
                f"out{more}."
            )


def check_epochs(method: Method, epochs: int) -> None:
    """Raises ConfigError if a method with two stages has no epoch for one of them."""
    if method.after is not None and epochs < 2:
        raise ConfigError(
            f"train.epochs must be at least 2 for '{method.name}', half of them for '{method.after}'. "
            f"Got {epochs}. Give more."
        )


def _trained(
    method: Method,
    encoder: DualEncoder,
    recipe: Recipe,
    saving: Saving,
    *,
    suite: Suite,
    seed: int,
    environment: Environment,
    head: LinearHead | None = None,
) -> Trained:
    """One stage of training, from the zero-shot head or from `head`."""
    assert method.build is not None
    base, processes, memory = fingerprint(encoder), environment.processes, environment.memory
    accelerator = make_accelerator(recipe.precision)
    encoder.to(accelerator.device)
    head = suite.head(encoder, processes) if head is None else head
    torch.manual_seed(seed)
    loss = loss_of(method, recipe, encoder)
    check_contrastive(method, anchor=recipe.anchor, train_scale=recipe.train_scale)
    term = None
    if recipe.anchor:
        term = anchor(encoder, recipe.anchor_words, weight=recipe.anchor, processes=processes)
    learner, adapters = method.build(encoder, head=head, loss=loss, settings=recipe.settings)
    if term is not None:
        learner.regulariser = term
    if recipe.train_scale:
        encoder.train_scale(bias=LOSSES[recipe.loss or method.losses[0]].reads_logit_bias)
    learner.to(accelerator.device)
    data = TrainingData(*suite.training(encoder, recipe, seed=seed, memory=memory, processes=processes))
    if isinstance(recipe.settings, EncodedOnce):
        images, loader = encoded_images(
            data.loader,
            encoder,
            accelerator,
            views=recipe.settings.views,
            batch_size=recipe.batch_size,
            processes=processes,
        )
        data = replace(data, loader=loader, image_features=images.features)
        if method.start is not None:
            assert learner.head is not None
            method.start(learner.head, images)
            learner.to(accelerator.device)
    before = _before(learner, adapters)
    validator = None
    if recipe.settings.needs_validation or (recipe.keep == "best" and method.is_optimized):
        validator = Validator(suite, encoder, recipe, environment)
    if not method.is_optimized:
        _choose(method, learner, recipe, validator)
        record = TrainingRecord(
            method=method.name,
            trained_parameters=0,
            learning_rate=None,
            epochs=0,
            epoch=None,
            seconds=saving.watch.seconds,
        )
        return Trained(record, Classifier(encoder, learner.head).eval(), adapters, base, before)
    steps = recipe.epochs * data.loader.steps_per_epoch
    optimization = Optimization(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate or default_rate(method, encoder.image_width),
        head_learning_rate=head_rate(method, encoder.image_width, recipe.learning_rate),
        weight_decay=recipe.weight_decay,
        warmup_steps=steps // 10 if recipe.warmup_steps is None else recipe.warmup_steps,
        grad_clip=recipe.grad_clip,
        seed=seed,
        max_skipped=recipe.max_skipped,
        chunk_size=recipe.chunk_size,
        fsdp=recipe.fsdp,
        projection=recipe.settings.projection,
    )
    ema = Ema(learner, decay=auto_decay(steps) if recipe.ema_decay == "auto" else recipe.ema_decay)
    best = None
    if recipe.keep == "best":
        assert validator is not None
        best = BestEpoch(
            ema,
            partial(_validated, validator, learner),
            validator.headline.is_better,
            folder=None if saving.checkpoints is None else saving.checkpoints.folder / "best-epoch",
            resume=saving.resume,
            processes=processes,
            report=environment.validated,
        )
    count, memory_bytes = count_trained(learner), None
    learner.train()
    lease = Lease(memory or Memory())
    towers = trained_towers(method, recipe.settings) if recipe.gradient_checkpointing else None
    if not recipe.fsdp:  # a learner that does not fit a device cannot run before it is sharded
        features = frozen_text_features(
            learner, data.captions, lease, accelerator, batch_size=recipe.eval_batch_size, processes=processes
        )
        data = replace(data, text_features=features)
    with nullcontext() if towers is None else encoder.checkpointing(towers):
        if not recipe.fsdp:
            loss_of_first = first_loss(learner, data, accelerator, chunk_size=recipe.chunk_size)
            with _unchanged_buffers(encoder):
                memory_bytes = step_bytes(learner, loss_of_first)
        fit(
            learner,
            ema,
            data,
            accelerator,
            optimization,
            saving=saving,
            after_epoch=best,
            environment=environment,
        )
    lease.release()
    learner.to(accelerator.device)
    if best is not None:
        best.restore()
    ema.adopt()
    _choose(method, learner, recipe, validator)
    classifier = Classifier(encoder, learner.head)
    classifier.eval()
    record = TrainingRecord(
        method=method.name,
        trained_parameters=count,
        learning_rate=optimization.learning_rate,
        head_learning_rate=optimization.head_learning_rate,
        epochs=recipe.epochs,
        epoch=None if best is None or best.epoch is None else best.epoch + 1,
        seconds=saving.watch.seconds,
        step_bytes=memory_bytes,
    )
    return Trained(record, classifier, adapters, base, before)


def _before(learner: Learner, adapters: PeftModel | None) -> dict[str, Tensor]:
    """The weights that alpha moves, at alpha 0, by the classifier's names; without adapters."""
    head = {} if learner.head is None else learner.head.at_zero_shot()
    towers = trained_parameters(learner.encoder)
    if adapters is not None:
        scales = learner.encoder.scale_parameters()
        towers = {name: p for name, p in towers.items() if any(p is scale for scale in scales)}
    return {f"encoder.{name}": parameter.detach().clone() for name, parameter in towers.items()} | {
        f"head.{name}": tensor for name, tensor in head.items()
    }


def _choose(method: Method, learner: Learner, recipe: Recipe, validator: Validator | None) -> None:
    """Sets what a method chooses on ID validation after training."""
    if recipe.settings.needs_validation:
        assert method.choose is not None
        assert learner.head is not None
        assert validator is not None
        method.choose(learner.head, recipe.settings, *validator.features(learner.encoder))


def _validated(validator: Validator, learner: Learner) -> Metrics:
    return validator.metrics(Classifier(learner.encoder, learner.head))


@contextmanager
def _unchanged_buffers(encoder: DualEncoder) -> Iterator[None]:
    """Raises ModelError if the block changes a buffer, because no run saves buffers."""
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    yield
    for name, buffer in encoder.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise ModelError(
                f"buffers of '{encoder.name}' must not change in training, because a run saves trained parameters "
                f"only. '{name.removeprefix('module.')}' changed in a forward pass. Choose a model without such a "
                "layer."
            )
