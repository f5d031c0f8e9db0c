"""The one training loop: takes a learner, its data and its captions; gives trained weights and their average."""

from radapter.training.captions import Captions, ClassCaptions, PairCaptions, StreamCaptions, TrainingData
from radapter.training.checkpoints import Checkpoints, Saving
from radapter.training.environment import Environment, Evaluated, Interrupted, Progress, StopSignal
from radapter.training.gradient_cache import Tower, backward_in_chunks
from radapter.training.loop import Precision, check_precision, fit, make_accelerator
from radapter.training.memory import step_bytes
from radapter.training.optimization import Optimization

__all__ = [
    "Captions",
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
    "StreamCaptions",
    "Tower",
    "TrainingData",
    "backward_in_chunks",
    "check_precision",
    "fit",
    "make_accelerator",
    "step_bytes",
]
