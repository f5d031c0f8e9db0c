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
from functools import partial
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from radapter.adapter import Ema, coins, use_coins
from radapter.data import Batch
from radapter.data.loading import Loader
from radapter.errors import ConfigError, DivergedError
from radapter.methods import Learner
from radapter.processes import shared
from radapter.training.captions import TrainingData
from radapter.training.checkpoints import LoopState, Saving
from radapter.training.environment import Environment, Interrupted, Progress
from radapter.training.gradient_cache import backward_of_pairs
from radapter.training.optimization import Optimization, cosine_with_warmup
from radapter.training.parallel import parallelize

_LOG = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


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
    data: TrainingData,
    accelerator: Accelerator,
    optimization: Optimization,
    *,
    saving: Saving | None = None,
    after_epoch: Callable[[int], None] | None = None,
    environment: Environment | None = None,
) -> int:
    """Trains `learner` in place, keeps `ema` up to date, and returns the number of skipped steps.

    Args:
        learner: Its forward gives the loss of a batch. Under FSDP it is left on the CPU.
        ema: Accumulates the trained parameters after every step that was not skipped.
        data: Its loader must be made for the processes of the environment, which share every batch.
        accelerator: Device and precision.
        optimization: How the parameters are moved.
        saving: None saves nothing.
        after_epoch: Called with the number of each finished epoch, counted from 0, after its checkpoint, and again
            if a run continues from there.
        environment: A stop signal of one process stops all.

    Raises:
        ConfigError: FSDP with one process, or in chunks.
        DivergedError: `max_skipped` steps in a row were skipped; the message names samples.
        DiskError: The last checkpoint before an interruption does not fit the disk; an earlier one stays.
        Interrupted: A stop was requested; a checkpoint was saved.
    """
    saving, environment = saving or Saving(), environment or Environment()
    processes, stop, loader = environment.processes, environment.stop, data.loader
    chunk_size, seed = optimization.chunk_size, optimization.seed
    if optimization.fsdp and (processes.size == 1 or chunk_size is not None):
        raise ConfigError(
            f"fsdp needs several processes, and encodes a batch at once. Got {processes.size} and chunk_size "
            f"{chunk_size}. Leave it out."
        )
    parallel = parallelize(learner, accelerator, processes, optimization)
    model, stepper = parallel.model, parallel.optimizer
    state = LoopState(learner, ema, parallel, accelerator.scaler, saving, processes)
    steps = optimization.epochs * loader.steps_per_epoch
    state.start(resume=saving.resume)
    if after_epoch is not None and state.step and state.step % loader.steps_per_epoch == 0:
        after_epoch(state.step // loader.steps_per_epoch - 1)  # its checkpoint comes before it
    started, images = time.perf_counter(), 0
    model.train()
    for epoch, batch in state.saving_on_error(_batches_from(state.step, loader, optimization.epochs)):
        torch.manual_seed(seed * 1_000_003 + state.step)
        factor = cosine_with_warmup(state.step, steps=steps, warmup_steps=optimization.warmup_steps)
        for group in stepper.param_groups:
            group["lr"] = group["peak"] * factor
        pairs, keys = data.pairs(batch, epoch=epoch, device=accelerator.device, processes=processes)
        source = coins.HashCoins(seed, state.step, keys)
        if chunk_size is None:
            with use_coins(model, source):  # backward too: checkpointed blocks are run again there
                with accelerator.autocast():
                    loss = model(pairs)
                accelerator.backward(loss)
        else:
            loss = backward_of_pairs(learner, pairs, source, keys, accelerator, chunk_size=chunk_size)
            parallel.average_gradients()
        norm = parallel.clip(float("inf") if optimization.grad_clip is None else optimization.grad_clip)
        finite = all(processes.gather(bool(torch.isfinite(loss) and torch.isfinite(norm))))
        # fp16's scaler skips by itself, and must see that it did
        if finite or accelerator.scaler is not None:
            stepper.step()
        stepper.zero_grad(set_to_none=True)
        state.count(accepted=finite and not accelerator.optimizer_step_was_skipped)
        images += len(batch) if batch.sizes is None else sum(batch.sizes)
        speed = images / (time.perf_counter() - started)
        rate = optimization.learning_rate * factor
        environment.report(
            Progress(state.step, steps, epoch, loss.item(), rate, norm.item(), speed, state.skipped)
        )
        if state.skipped_in_a_row:
            processes.everywhere(partial(_refuse_divergence, state, batch, loader, optimization.max_skipped))
        ends = state.step % loader.steps_per_epoch == 0
        due = state.step % (saving.every or loader.steps_per_epoch) == 0 or state.step == steps
        if state.save_if_due(due=due or (ends and after_epoch is not None), asked=stop.asked):
            raise shared(Interrupted(f"stopped after step {state.step} of {steps}"))
        if ends and after_epoch is not None:
            after_epoch(epoch)
    if any(processes.gather(stop.asked)):
        raise shared(Interrupted(f"stopped after step {state.step} of {steps}"))
    learner.encoder.weights_changed()
    return state.skipped


def _batches_from(step: int, loader: Loader, epochs: int) -> Iterator[tuple[int, Batch]]:
    first, offset = divmod(step, loader.steps_per_epoch)
    for epoch in range(first, epochs):
        for batch in loader.epoch(epoch, start_step=offset):
            yield epoch, batch
        offset = 0


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
