"""Model soups: the average of several fine-tuned models' weights, all of them or those that help.

Source: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", ICML 2022. The ingredients are the trainings of `full` at every learning rate of a grid;
the paper's ingredients also differ in augmentation, mixup, label smoothing, weight decay and epochs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from radapter.errors import ConfigError
from radapter.methods.full import WISE_FT

Weights = Mapping[str, Tensor]


def uniform_soup(ingredients: Sequence[Weights]) -> dict[str, Tensor]:
    """The mean of every tensor of several state dicts, computed in float32 or wider; integer tensors are the first
    dict's. Raises ConfigError if there is none, or their names or shapes differ."""
    if not ingredients:
        raise ConfigError("a soup needs at least one ingredient. Got none.")
    shapes = [{name: tuple(tensor.shape) for name, tensor in weights.items()} for weights in ingredients]
    if any(of_one != shapes[0] for of_one in shapes):
        raise ConfigError("ingredients of a soup must be models of one architecture. Names or shapes differ.")
    return {name: _mean([weights[name] for weights in ingredients]) for name in ingredients[0]}


def greedy_soup(
    ingredients: Sequence[Weights], score: Callable[[Weights], float]
) -> tuple[dict[str, Tensor], tuple[int, ...]]:
    """Adds ingredients from the best `score`, accuracy on ID validation, to the worst; keeps each that raises it.

    The released code (mlfoundations/model-soups d5398f1) keeps only gains (>); the paper's Recipe 1 also keeps ties.

    Returns:
        The soup, and the positions of its ingredients, in the order of adding.
    """
    uniform_soup(ingredients)  # raises if they cannot be mixed
    alone = [score(weights) for weights in ingredients]
    order = sorted(range(len(ingredients)), key=lambda number: -alone[number])
    chosen, best = [order[0]], alone[order[0]]
    for number in order[1:]:
        tried = score(uniform_soup([ingredients[i] for i in (*chosen, number)]))
        if tried > best:
            chosen, best = [*chosen, number], tried
    return uniform_soup([ingredients[i] for i in chosen]), tuple(chosen)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if not first.is_floating_point():
        return first.clone()
    wide = torch.promote_types(first.dtype, torch.float32)
    return torch.stack([tensor.to(wide) for tensor in tensors]).mean(0).to(first.dtype)


UNIFORM = replace(
    WISE_FT,
    name="uniform-soup",
    summary="the mean of full at every learning rate of the grid",
    averages="uniform",
)
GREEDY = replace(
    UNIFORM,
    name="greedy-soup",
    summary="the mean of those of full that help on ID validation",
    averages="greedy",
)
