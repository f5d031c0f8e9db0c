"""Which layers moved, by tower, block and part."""

import math

import pytest
import torch

from radapter.evaluation import Interpolation
from radapter.runs.movement import moved_parts
from radapter.zeroshot import Classifier, LinearHead

PREFIX = "encoder.module."


def states(encoder, changed: dict[str, float]):
    """A classifier with a head, and its weights before and after adding a constant to some of them."""
    classifier = Classifier(encoder, LinearHead(torch.zeros(3, encoder.embed_dim)))
    before = {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items()}
    after = {name: before[name] + changed.get(name, 0.0) for name in before}
    return classifier, before, after


def test_a_change_is_counted_in_its_block_and_part(encoder):
    block = f"{PREFIX}vision_model.encoder.layers.1"
    names = {f"{block}.self_attn.q_proj.weight": 0.5, f"{block}.mlp.fc1.bias": 2.0, "head.bias": 1.0}
    classifier, before, after = states(encoder, names)
    changes = Interpolation(classifier, before, after).changes()
    found = moved_parts(encoder.module, changes, PREFIX)
    size = {name: before[name].numel() for name in names}
    expected = {
        ("image", 1, "attention"): 0.5 * math.sqrt(size[f"{block}.self_attn.q_proj.weight"]),
        ("image", 1, "ffn"): 2.0 * math.sqrt(size[f"{block}.mlp.fc1.bias"]),
        (None, None, "other"): math.sqrt(3),
    }
    assert {(of.tower, of.block, of.part): of.change for of in found} == pytest.approx(expected, rel=1e-5)


def test_every_change_is_counted_once(encoder):
    classifier, before, after = states(encoder, {})
    after = {name: of + 0.01 if of.is_floating_point() else of for name, of in after.items()}
    changes = Interpolation(classifier, before, after).changes()
    found = moved_parts(encoder.module, changes, PREFIX)
    total = math.fsum(change**2 for change, _ in changes.values())
    assert math.fsum(of.change**2 for of in found) == pytest.approx(total)
    assert len({(of.tower, of.block, of.part) for of in found}) == len(found)
