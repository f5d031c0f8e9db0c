"""bf16: towers compute in it, weights stay in float32, and chunks and checkpointing go with it."""

from dataclasses import replace

import pytest
import torch

import radapter
from radapter.data import open_pairs
from radapter.methods import METHODS, RETRIEVAL
from radapter.runs.fine_tuning import train_method
from radapter.tasks.retrieval import RetrievalSuite


@pytest.fixture(scope="module")
def pair_suite():
    pairs = open_pairs({"world": "scenes", "size": 40})
    return RetrievalSuite(train=pairs, id_val=None, id_test={"same": pairs}, ood={}, per_group=2)


def trained(suite, recipe, **options):
    """The weights that changed, and which types the image tower's blocks gave."""
    encoder = radapter.load("world:tiny")
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    types = set()
    hooks = [
        part.register_forward_hook(lambda module, inputs, output: types.add(output.dtype))
        for part in encoder.modules()
        if isinstance(part, torch.nn.Linear)
    ]
    table = RETRIEVAL if isinstance(suite, RetrievalSuite) else METHODS
    train_method(
        table["full-both-towers" if table is RETRIEVAL else "flyp"],
        encoder,
        suite,
        replace(recipe, **options),
        seed=2,
    )
    for hook in hooks:
        hook.remove()
    after = dict(encoder.named_parameters())
    moved = {name: after[name].detach() - before[name] for name in before}
    return torch.cat([step.flatten() for step in moved.values()]), types


def alike(first, second):
    """The cosine of two movements of the weights."""
    return float(torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=0))


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_bf16_computes_towers_in_bf16_and_moves_float32_weights_alike(suite, pair_suite, recipe, task):
    data = suite if task == "classification" else pair_suite
    exact, types = trained(data, recipe)
    assert types == {torch.float32}
    rough, types = trained(data, recipe, precision="bf16")
    assert types == {torch.bfloat16}
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (
        alike(exact, rough) > 0.9
    )  # 8 bits of a number, and AdamW makes as much of a tiny gradient as of a large one


def test_bf16_in_chunks_is_bf16_at_once(pair_suite, recipe):
    whole, _ = trained(pair_suite, recipe, precision="bf16")
    chunked, types = trained(pair_suite, recipe, precision="bf16", chunk_size=5)
    assert types == {torch.bfloat16}
    assert alike(whole, chunked) > 0.9


@pytest.mark.parametrize("chunk_size", [None, 5])
def test_bf16_with_checkpointing_is_bitwise_the_same(pair_suite, recipe, chunk_size):
    plain, checkpointed = (
        trained(pair_suite, recipe, precision="bf16", chunk_size=chunk_size, gradient_checkpointing=switched)[
            0
        ]
        for switched in (False, True)
    )
    assert torch.equal(plain, checkpointed)
