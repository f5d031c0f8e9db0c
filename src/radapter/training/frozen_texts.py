"""Captions of a text tower that is not trained: encoded once, before the first step, and kept for all steps.

The features are those of the tower in evaluation mode, chunk by chunk in the order of the captions' ids. A resumed
run, or one with another number of processes, therefore has them bitwise. Captions that come with a stream are not
known beforehand: they are encoded in each step, without a graph.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.data.memory import Lease
from radapter.methods import Learner, learns
from radapter.processes import ALONE, Processes
from radapter.training.captions import Captions
from radapter.zeroshot import evaluating

_LOG = logging.getLogger(__name__)


def frozen_text_features(
    learner: Learner,
    captions: Captions,
    lease: Lease,
    *,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
    batch_size: int = 256,
    processes: Processes = ALONE,
) -> Tensor | None:
    """The features of all captions, by their id.

    Args:
        learner: Has the text tower.
        captions: Of the training set.
        lease: Memory, four bytes for each number of a feature; features that do not fit are not kept.
        device: The learner's.
        autocast: The precision of the towers.
        batch_size: Captions at a time.
        processes: Take turns with the chunks.

    Returns:
        (T, E), unit norm, on the CPU; None if the text tower is trained or not read, captions come with a stream, or
        memory is short.
    """
    tokens, encoder = captions.tokens, learner.encoder
    if tokens is None or not learner.reads_texts or learns(encoder.text_tower()):
        return None
    size = len(tokens) * encoder.embed_dim * 4
    if not lease.take(size):
        _LOG.info(
            "the text tower is not trained, but its %d captions take %.2f MiB, more than is left: they are encoded "
            "in every step",
            len(tokens),
            size / 2**20,
        )
        return None

    def encode(chunk: Tensor) -> Tensor:
        with autocast():
            return F.normalize(encoder.encode_text(chunk.to(device)), dim=-1)

    with torch.no_grad(), evaluating(encoder):
        found = [part.cpu() for part in processes.in_turn(torch.split(tokens, batch_size), encode)]
    _LOG.info(
        "the text tower is not trained: its %d captions are encoded once and take %.2f MiB",
        len(tokens),
        size / 2**20,
    )
    return torch.cat(found)
