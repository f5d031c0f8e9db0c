"""The one training loop, over accelerate.

A step is a pure function of (seed, step): the order of the data, their augmentation, the captions and the coins
of adapter dropping are counter based, and torch's generator is reseeded at every step for whatever else draws.
So a checkpoint needs no random state, and a resumed run is bitwise the uninterrupted one.

With several processes, each computes its share of every batch. The loss is that of the whole batch, and the gradient
is the one that a single process would compute. All hold the same weights and averages; only the main one writes.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from radapter.adapter import Ema, coins, use_coins
from radapter.data import Batch
from radapter.data.loading import Loader
from radapter.errors import ConfigError, DivergedError
from radapter.losses import Parts
from radapter.methods import LabelledPairs, Learner, trained_parameters
from radapter.processes import ALONE, Processes, shared
from radapter.training.captions import Captions
from radapter.training.checkpoints import Checkpoints
from radapter.training.gradient_cache import backward_in_chunks
from radapter.training.interruption import Interrupted, StopSignal
from radapter.training.saving import LoopState, Saving, Stopwatch
from radapter.training.schedule import cosine_with_warmup
from radapter.training.spread import PeakRates, spread_of

_LOG = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class Progress:
    """State after a step.

    step: completed, of `steps`. loss: nats. images_per_second: of all processes, since this one began.
    """

    step: int
    steps: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    images_per_second: float
    skipped: int


def make_accelerator(precision: Precision) -> Accelerator:
    """Creates an Accelerator with the given precision. Raises ConfigError if there is no GPU for fp16, whose
    gradients need a scaler that exists on GPUs only."""
    check_precision(precision)
    # accelerate keeps one state a process and refuses a second precision; a program may train twice.
    AcceleratorState._reset_state()
    # Buffers are constants here, and some trained parameters may be unused. With find_unused_parameters,
    # DistributedDataParallel also keeps the layout of gradients after its first step, so a resumed run sums them in
    # the same order.
    wrapping = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)
    return Accelerator(mixed_precision=_MIXED[precision], kwargs_handlers=[wrapping])


def check_precision(precision: Precision) -> None:
    """Raises ConfigError for fp16 without a GPU."""
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("train.precision fp16 needs a GPU. This machine has none. Use bf16 or fp32.")


def fit(
    learner: Learner,
    ema: Ema,
    loader: Loader,
    captions: Captions,
    accelerator: Accelerator,
    *,
    epochs: int,
    learning_rate: float,
    head_learning_rate: float | None = None,
    weight_decay: float,
    warmup_steps: int = 0,
    grad_clip: float | None,
    seed: int = 0,
    max_skipped: int,
    chunk_size: int | None = None,
    text_features: Tensor | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int | None = None,
    checkpoint_minutes: float | None = None,
    resume: bool = False,
    stop: StopSignal | None = None,
    watch: Stopwatch | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    after_epoch: Callable[[int], None] | None = None,
    processes: Processes = ALONE,
    fsdp: bool = False,
) -> int:
    """Trains `learner` in place and keeps `ema` up to date.

    Args:
        learner: Its forward gives the loss of a batch.
        ema: Accumulates the trained parameters after every step that was not skipped.
        loader: Images and labels, epoch by epoch.
        captions: Of the images.
        accelerator: Device and precision.
        epochs: Passes over the data.
        learning_rate: The peak, reached after the warm-up.
        head_learning_rate: The trained head's, under the same schedule; None for `learning_rate`.
        weight_decay: AdamW's, decoupled.
        warmup_steps: Steps of linear rise, before the cosine.
        grad_clip: Largest gradient norm; None does not clip.
        seed: Of everything drawn here.
        max_skipped: Number of steps in a row with a non-finite loss or gradient that ends the run.
        chunk_size: Samples encoded at a time, so that memory does not grow with the batch (gradient caching); None
            encodes the batch at once.
        text_features: (T, E) of all captions by their ids, if the text tower is not trained; None encodes them in
            every step.
        checkpoints: Where to save; None saves nothing.
        checkpoint_every: Steps between them; None for an epoch. None is saved while steps are skipped, because the
            state may be what diverged.
        checkpoint_minutes: Minutes after which one is saved in any case, by the main process's clock; None for
            never.
        resume: Whether to continue from the newest undamaged checkpoint, if there is one.
        stop: Requests to save and stop after the current step.
        watch: Counts the seconds that checkpoints record; None starts one here.
        report: Called after each step.
        after_epoch: Called with the number of each finished epoch, counted from 0, after its checkpoint, and again
            if a run continues from there.
        processes: Share every batch. Each calls this with the same arguments, and `loader` made with them. A `stop`
            of one stops all; the main process writes checkpoints.
        fsdp: Shards the weights across processes (FSDP2), for towers that do not fit one device; `learner` is then
            left on the CPU. Not with `chunk_size`.

    Returns:
        Number of skipped steps.

    Raises:
        ConfigError: `fsdp` with one process, or with `chunk_size`.
        DivergedError: `max_skipped` steps in a row were skipped; the message names samples.
        DiskError: The last checkpoint before an interruption does not fit the disk; an earlier one stays.
        Interrupted: `stop` was requested; a checkpoint was saved.
    """
    rates = PeakRates(learning_rate, learning_rate if head_learning_rate is None else head_learning_rate)
    if fsdp and (processes.size == 1 or chunk_size is not None):
        raise ConfigError(
            f"fsdp needs several processes, and encodes a batch at once. Got {processes.size} and chunk_size "
            f"{chunk_size}. Leave it out."
        )
    spread = spread_of(learner, accelerator, processes, rates=rates, weight_decay=weight_decay, sharded=fsdp)
    model, stepper = spread.model, spread.optimizer
    state = LoopState(trained_parameters(learner), ema, spread, accelerator.scaler, watch or Stopwatch())
    steps = epochs * loader.steps_per_epoch
    saving = Saving(checkpoints, state, processes, minutes=checkpoint_minutes)
    if resume:
        saving.restore()
        if after_epoch is not None and state.step and state.step % loader.steps_per_epoch == 0:
            after_epoch(state.step // loader.steps_per_epoch - 1)  # its checkpoint comes before it
    processes.on_main(saving.warn_of_space)
    started, images = time.perf_counter(), 0
    model.train()
    for epoch, batch in saving.on_error(_batches_from(state.step, loader, epochs)):
        torch.manual_seed(seed * 1_000_003 + state.step)
        factor = cosine_with_warmup(state.step, steps=steps, warmup_steps=warmup_steps)
        for group in stepper.param_groups:
            group["lr"] = group["peak"] * factor
        pairs, keys = _pairs(
            batch, captions, epoch, len(loader.dataset), accelerator.device, processes, text_features
        )
        coins_of = partial(coins.HashCoins, seed, state.step)
        if chunk_size is None:
            with use_coins(model, coins_of(keys)):  # backward too: checkpointed blocks are run again there
                with accelerator.autocast():
                    loss = model(pairs)
                accelerator.backward(loss)
        else:
            loss = backward_in_chunks(
                learner,
                pairs,
                coins_of,
                keys,
                chunk_size=chunk_size,
                autocast=accelerator.autocast,
                backward=accelerator.backward,
            )
            spread.average_gradients()
        norm = spread.clip(float("inf") if grad_clip is None else grad_clip)
        finite = all(processes.gather(bool(torch.isfinite(loss) and torch.isfinite(norm))))
        # fp16's scaler skips by itself, and must see that it did
        if finite or accelerator.scaler is not None:
            stepper.step()
        stepper.zero_grad(set_to_none=True)
        state.count(accepted=finite and not accelerator.optimizer_step_was_skipped)
        images += len(batch) if batch.sizes is None else sum(batch.sizes)
        speed = images / (time.perf_counter() - started)
        rate = learning_rate * factor
        report(Progress(state.step, steps, epoch, loss.item(), rate, norm.item(), speed, state.skipped))
        if state.skipped_in_a_row:
            processes.everywhere(partial(_refuse_divergence, state, batch, loader, max_skipped))
        ends = state.step % loader.steps_per_epoch == 0
        due = state.step % (checkpoint_every or loader.steps_per_epoch) == 0 or state.step == steps
        asked = saving.after_step(
            due=due or (ends and after_epoch is not None), asked=stop is not None and stop.asked
        )
        if asked:
            raise shared(Interrupted(f"stopped after step {state.step} of {steps}"))
        if ends and after_epoch is not None:
            after_epoch(epoch)
    if any(processes.gather(stop is not None and stop.asked)):
        raise shared(Interrupted(f"stopped after step {state.step} of {steps}"))
    learner.encoder.weights_changed()
    return state.skipped


def sample_step(
    learner: Learner,
    loader: Loader,
    captions: Captions,
    accelerator: Accelerator,
    *,
    chunk_size: int | None = None,
    text_features: Tensor | None = None,
) -> Callable[[], Tensor]:
    """The loss of the first batch, or of its first chunk, as a function without arguments; it trains nothing.

    With several processes, each takes its own share as the batch.
    """
    batch = next(iter(loader.epoch(0)))
    rows = slice(chunk_size)
    batch = replace(
        batch,
        pixels=batch.pixels[rows],
        labels=batch.labels[rows],
        keys=batch.keys[rows],
        indices=batch.indices[rows],
        groups=None if batch.groups is None else batch.groups[rows],
        captions=None if batch.captions is None else batch.captions[rows],
        sizes=None,
    )
    pairs, _ = _pairs(batch, captions, 0, len(loader.dataset), accelerator.device, ALONE, text_features)

    def loss() -> Tensor:
        with accelerator.autocast():
            found: Tensor = learner(pairs)
        return found

    return loss


def _batches_from(step: int, loader: Loader, epochs: int) -> Iterator[tuple[int, Batch]]:
    first, offset = divmod(step, loader.steps_per_epoch)
    for epoch in range(first, epochs):
        for batch in loader.epoch(epoch, start_step=offset):
            yield epoch, batch
        offset = 0


def _pairs(
    batch: Batch,
    captions: Captions,
    epoch: int,
    samples: int,
    device: torch.device,
    processes: Processes,
    text_features: Tensor | None,
) -> tuple[LabelledPairs, dict[str, Tensor]]:
    tokens, caption_of_image, caption_ids = captions.of(batch, epoch=epoch, samples=samples)
    parts = None
    if batch.sizes is not None:
        assert processes.group is not None
        parts = Parts(processes.group, batch.sizes)
    pairs = LabelledPairs(
        batch.pixels.to(device),
        tokens.to(device),
        caption_of_image.to(device),
        batch.labels.to(device),
        parts,
        None if text_features is None else text_features[caption_ids].to(device),
    )
    return pairs, {"image": batch.indices, "text": caption_ids}  # on the CPU, where coins are drawn


def _refuse_divergence(state: LoopState, batch: Batch, loader: Loader, max_skipped: int) -> None:
    samples = [loader.dataset.where(int(i)) for i in batch.indices[:8]]
    _LOG.warning(
        "step %d skipped: loss or gradient was not finite; samples: %s", state.step, ", ".join(samples)
    )
    if state.skipped_in_a_row >= max_skipped:
        raise DivergedError(
            f"loss and gradients must be finite. {state.skipped_in_a_row} steps in a row were not, the last at "
            f"step {state.step} with samples {', '.join(samples)}. Lower train.lr, use fp32, or look at these "
            "images."
        )
