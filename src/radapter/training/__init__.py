"""The one training loop: takes a learner, its data and its captions; gives trained weights and their average."""

from radapter.training.captions import (
    Captions,
    ClassCaptions,
    PairCaptions,
    StreamCaptions,
    TrainingData,
    frozen_text_features,
)
from radapter.training.checkpoints import Checkpoint, Checkpoints, Saving, Stopwatch
from radapter.training.environment import Environment, Evaluated, Interrupted, Progress, StopSignal
from radapter.training.gradient_cache import Tower, backward_in_chunks
from radapter.training.loop import Precision, check_precision, fit, make_accelerator
from radapter.training.memory import first_loss, step_bytes
from radapter.training.optimization import Optimization, cosine_with_warmup

__all__ = [
    "Captions",
    "Checkpoint",
    "Checkpoints",
    "ClassCaptions",
    "Environment",
    "Evaluated",
    "Interrupted",
    "Optimization",
    "PairCaptions",
    "Precision",
    "Progress",
    "Saving",
    "StopSignal",
    "Stopwatch",
    "StreamCaptions",
    "Tower",
    "TrainingData",
    "backward_in_chunks",
    "check_precision",
    "cosine_with_warmup",
    "first_loss",
    "fit",
    "frozen_text_features",
    "make_accelerator",
    "step_bytes",
]
