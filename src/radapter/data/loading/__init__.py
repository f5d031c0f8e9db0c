"""Batches: in order for evaluation, shuffled and augmented for training.

batch.py is what loaders read and what they give; evaluation.py and training.py are the two loaders. Both decode
with threads (Pillow and torch release the interpreter for the heavy part), keep what fits the memory budget, and
skip what cannot be decoded. What a batch holds never depends on the number of workers.

Of several processes each decodes its share: for evaluation whole batches, so that each is computed as it would be
by one process; for training its part of every batch. Pictures that one process cannot decode are counted by all.
"""

from radapter.data.loading.batch import (
    Batch,
    BatchSampler,
    ImageSet,
    KnownSet,
    Loader,
    Preprocess,
    check_loading,
)
from radapter.data.loading.evaluation import EvalLoader, batches, meet
from radapter.data.loading.training import TrainLoader

__all__ = [
    "Batch",
    "BatchSampler",
    "EvalLoader",
    "ImageSet",
    "KnownSet",
    "Loader",
    "Preprocess",
    "TrainLoader",
    "batches",
    "check_loading",
    "meet",
]
