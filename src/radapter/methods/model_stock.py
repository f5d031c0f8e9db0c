"""Model Stock: the mean of two trainings from one base, each tensor moved towards the base by their angle.

Source: Jang et al., "Model Stock: all we need is just a few fine-tuned models", ECCV 2024. w0 are the pre-trained
weights of a tensor and w1 .. wN those of N trainings that differ in their seed:

    cos = <w1 - w0, w2 - w0> / (|w1 - w0| |w2 - w0|)        the mean over all pairs for N > 2
    t   = N cos / (1 + (N - 1) cos), within [0, 1]
    w   = t mean(w_i) + (1 - t) w0

The two trainings are `full` with two seeds at one learning rate. Nothing is searched. The official repository has no
code; the equation was read in a copy of its tutorial. There t is not limited: a negative cosine would move away from
the mean. Every tensor is a layer of its own, the head's with the zero-shot head as w0. The source's averaging during
training is left out, as in the tutorial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from radapter.methods.full import WISE_FT

Weights = Mapping[str, Tensor]


def model_stock(base: Weights, trainings: Sequence[Weights]) -> dict[str, Tensor]:
    """The stock of two or more trainings of `base`, all with the same names; computed in float32 or wider."""
    return {name: _stock(start, [weights[name] for weights in trainings]) for name, start in base.items()}


def _stock(start: Tensor, tuned: Sequence[Tensor]) -> Tensor:
    wide = torch.promote_types(start.dtype, torch.float32)
    moves = [(tensor.to(wide) - start.to(wide)).flatten() for tensor in tuned]
    cosines = torch.stack([torch.cosine_similarity(a, b, dim=0) for a, b in combinations(moves, 2)])
    cosine, count = cosines.mean(), len(tuned)
    ratio = (count * cosine / (1 + (count - 1) * cosine)).clamp(0, 1) if cosine > 0 else cosine.new_zeros(())
    mean = torch.stack(moves).mean(0).view(start.shape)
    return (start.to(wide) + ratio * mean).to(start.dtype)


METHOD = replace(
    WISE_FT,
    name="model-stock",
    summary="two seeds of full, averaged by the angle between them",
    source="Jang et al. 2024",
    averages="stock",
)
