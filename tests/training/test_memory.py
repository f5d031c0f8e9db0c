import weakref

import torch
from torch import nn

from radapter.training import step_bytes


def test_the_bytes_of_a_linear_layer_by_hand():
    layer, rows = nn.Linear(4, 3, bias=False), torch.randn(5, 4)
    # kept for the backward pass: the input of the product and, of the square, its own input; 12 trained numbers
    assert step_bytes(layer, lambda: layer(rows).square().sum()) == (5 * 4 + 5 * 3 + 3 * 12) * 4


def test_frozen_parameters_have_neither_gradient_nor_moments():
    layer, rows = nn.Linear(4, 3, bias=False).requires_grad_(False), torch.randn(5, 4, requires_grad=True)
    assert step_bytes(layer, lambda: layer(rows).square().sum()) == 5 * 3 * 4


def test_a_storage_counts_once():
    frozen = nn.Linear(3, 1).requires_grad_(False)
    rows = torch.randn(5, 3, requires_grad=True)
    once = step_bytes(frozen, lambda: (rows * rows).sum())
    assert once == 5 * 3 * 4


def test_counting_leaves_nothing_of_the_step_in_memory():
    def counted():
        layer = nn.Linear(4, 3)
        step_bytes(layer, lambda: layer(torch.ones(5, 4)).exp().sum())  # autograd keeps the output of exp
        return weakref.ref(layer.weight)

    assert counted()() is None
