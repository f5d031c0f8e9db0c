"""How a learner is optimized, and the learning rate of every step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Optimization:
    """AdamW under a linear warm-up and half a cosine to zero.

    learning_rate: peak for the towers. head_learning_rate: peak for the trained head; None for the same.
    weight_decay: decoupled. grad_clip: largest gradient norm; None does not clip. seed: of everything drawn in a
    step. max_skipped: number of steps in a row with a non-finite loss or gradient that ends the run. chunk_size:
    samples encoded at a time (gradient caching); None encodes the batch at once. projection: strength of SPD's
    projection towards the starting weights; 0 for none. fsdp: shards the weights across
    processes (FSDP2), for towers that do not fit one device.
    """

    epochs: int
    learning_rate: float
    head_learning_rate: float | None = None
    weight_decay: float = 0.0
    warmup_steps: int = 0
    grad_clip: float | None = 1.0
    seed: int = 0
    max_skipped: int = 10
    chunk_size: int | None = None
    fsdp: bool = False
    projection: float = 0.0


def cosine_with_warmup(step: int, *, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate at `step`, counted from 0, in [0, 1].

    step < warmup_steps:  (step + 1) / warmup_steps
    otherwise:            (1 + cos(pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
