"""The one training loop, over accelerate.

A step is a pure function of (seed, step): the order of the data, their augmentation, the captions and the coins
of adapter dropping are counter based, and torch's generator is reseeded at every step for whatever else draws.
So a checkpoint needs no random state, and a resumed run is bitwise the uninterrupted one.

Of several processes each computes its part of every batch, the loss is that of the whole batch, and the gradient is
what one process would have. All of them hold the same weights and averages; the main one alone writes.
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
from radapter.losses.gather import Parts
from radapter.methods import LabelledPairs, Learner, trained_parameters
from radapter.processes import ALONE, Processes, shared
from radapter.training.captions import Captions
from radapter.training.checkpoints import Checkpoints
from radapter.training.gradient_cache import backward_in_chunks
from radapter.training.interruption import Interrupted, StopSignal
from radapter.training.saving import LoopState, Saving
from radapter.training.schedule import cosine_with_warmup
from radapter.training.spread import PeakRates, Replicated, Sharded, Spread
from radapter.training.stopwatch import Stopwatch

_LOG = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class Progress:
    """What the loop reports after a step.

    step: done, of `steps`. loss: nats. images_per_second: of all processes, since this one began.
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
    """An accelerator of the wished precision on the device at hand.

    Raises:
        ConfigError: fp16 without a GPU: its gradients need a scaler that exists on GPUs only.
    """
    check_precision(precision)
    # accelerate keeps one state a process and refuses a second precision; a program may train twice.
    AcceleratorState._reset_state()
    # Buffers are constants here. Not all that is trained need be used; and told so, DistributedDataParallel does not
    # lay gradients out anew after its first step, which would sum them in another order after a resumption.
    wrapping = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=True)
    return Accelerator(mixed_precision=_MIXED[precision], kwargs_handlers=[wrapping])


def check_precision(precision: Precision) -> None:
    """Raises where this machine lacks a precision.

    Raises:
        ConfigError: fp16 without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("train.precision fp16 needs a GPU. There is none here. Use bf16 or fp32.")


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
        learner: what is trained; its forward gives the loss of a batch.
        ema: accumulates the trained parameters after every step that was not skipped.
        loader: images and labels, epoch by epoch.
        captions: of the images.
        accelerator: device and precision.
        epochs: passes over the data.
        learning_rate: the peak, reached after the warm-up.
        head_learning_rate: that of a trained head, under the same schedule; None for `learning_rate`.
        weight_decay: AdamW's, decoupled.
        warmup_steps: of linear rise, before the cosine.
        grad_clip: largest gradient norm; None does not clip.
        seed: fixes everything drawn here.
        max_skipped: that many steps in a row with a non-finite loss or gradient end the run.
        chunk_size: samples encoded at a time, so that memory does not grow with the batch (gradient caching);
            None encodes the batch at once.
        text_features: (T, E) of all captions by their ids, where the text tower is not trained; None asks the tower
            in every step.
        checkpoints: where to save; None saves nothing.
        checkpoint_every: steps between them; None is an epoch. None is saved while steps are skipped: the state
            may be what diverged.
        checkpoint_minutes: after which one is saved in any case, by the main process's clock; None for never.
        resume: continue from the newest good checkpoint, where there is one.
        stop: asks to save and stop after the step in hand.
        watch: counts the seconds that checkpoints carry; None starts one here.
        report: called after each step.
        after_epoch: called with the number of each epoch that ends, counted from 0, after its checkpoint; called
            again where a run continues from there.
        processes: share every batch; each calls this with the same arguments, and `loader` made with them. `stop` is
            asked where one is asked, checkpoints are the main process's.
        fsdp: part the weights among the processes (FSDP2), for towers that do not fit one device; `learner` is then
            left on the CPU. Not with `chunk_size`.

    Returns:
        Steps skipped in all.

    Raises:
        ConfigError: `fsdp` with one process, or with `chunk_size`.
        DivergedError: `max_skipped` steps in a row were skipped; the message names samples.
        DiskError: the last checkpoint before an interruption does not fit the disk; an earlier one stays.
        Interrupted: `stop` asked; a checkpoint was saved.
    """
    spread: Spread
    rates = PeakRates(learning_rate, learning_rate if head_learning_rate is None else head_learning_rate)
    if fsdp and (processes.size == 1 or chunk_size is not None):
        raise ConfigError(
            f"fsdp needs several processes, and encodes a batch at once. Got {processes.size} and chunk_size "
            f"{chunk_size}. Leave it out."
        )
    if fsdp:
        spread = Sharded(learner, accelerator, processes, rates=rates, weight_decay=weight_decay)
    else:
        spread = Replicated(learner, accelerator, rates=rates, weight_decay=weight_decay)
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
    """The loss of the first batch, or of its first chunk, as a function of nothing; it trains nothing.

    Of several processes each takes its own part for a batch.
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
    """A batch with its captions, and the keys of its coins: the image's place in the data, the caption's id."""
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
