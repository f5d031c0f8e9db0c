"""The learning rate of every step: linear warm-up, then half a cosine to zero."""

import math


def cosine_with_warmup(step: int, *, steps: int, warmup_steps: int) -> float:
    """The factor on the learning rate at `step`, counted from 0, in [0, 1].

    step < warmup_steps:  (step + 1) / warmup_steps
    otherwise:            (1 + cos(pi * (step - warmup_steps) / (steps - warmup_steps))) / 2
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
