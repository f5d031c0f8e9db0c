"""The one training loop: takes a learner, its data and its captions; gives trained weights and their average."""

from radapter.training.captions import Captions, ClassCaptions, PairCaptions, StreamCaptions
from radapter.training.checkpoints import Checkpoint, Checkpoints
from radapter.training.frozen_texts import frozen_text_features
from radapter.training.interruption import Interrupted, StopSignal
from radapter.training.loop import Precision, Progress, check_precision, fit, make_accelerator, sample_step
from radapter.training.memory import step_bytes
from radapter.training.saving import Stopwatch
from radapter.training.schedule import cosine_with_warmup

__all__ = [
    "Captions",
    "Checkpoint",
    "Checkpoints",
    "ClassCaptions",
    "Interrupted",
    "PairCaptions",
    "Precision",
    "Progress",
    "StopSignal",
    "Stopwatch",
    "StreamCaptions",
    "check_precision",
    "cosine_with_warmup",
    "fit",
    "frozen_text_features",
    "make_accelerator",
    "sample_step",
    "step_bytes",
]
