"""Each ensemble equals what its release computes, region by region and class by class."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import ensembles as reference

from radapter.errors import ConfigError
from radapter.segmentation import ENSEMBLES, combine

Q, C = 7, 5


def case(seed: int):
    """Proposer's logits with no object last, its probabilities, CLIP's, valid and seen; float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(Q, C + 1, dtype=torch.float64, generator=generator)
    clip = (4 * torch.randn(Q, C, dtype=torch.float64, generator=generator)).softmax(-1)
    valid = torch.rand(Q, generator=generator) < 0.7
    seen = torch.rand(C, generator=generator) < 0.5
    return logits, logits.softmax(-1)[:, :-1], clip, valid, seen


def close(ours, expected):
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@given(st.integers(0, 10_000))
def test_region_is_clip_alone_and_an_invalid_region_is_ignored(seed: int):
    _, a, c, valid, _ = case(seed)
    close(combine(a, c, mode="region", valid=valid), reference.region(a.tolist(), c.tolist(), valid.tolist()))
    assert torch.equal(
        combine(None, c, mode="region", valid=valid), combine(a, c, mode="region", valid=valid)
    )


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_ovseg_equals_its_release(seed: int, weight: float):
    _, a, c, valid, _ = case(seed)
    expected = reference.ovseg(a.tolist(), c.tolist(), valid.tolist(), weight)
    close(combine(a, c, weight, "ovseg", valid=valid), expected)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_zsseg_equals_its_release(seed: int, weight: float):
    _, a, c, valid, seen = case(seed)
    expected = reference.zsseg(a.tolist(), c.tolist(), valid.tolist(), seen.tolist(), weight)
    close(combine(a, c, weight, "zsseg", valid=valid, seen=seen), expected)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_fcclip_equals_its_release(seed: int, alpha: float, beta: float):
    logits, a, c, valid, seen = case(seed)
    expected = reference.fcclip(logits.tolist(), c.tolist(), valid.tolist(), seen.tolist(), alpha, beta)
    close(combine(a, c, (alpha, beta), "fcclip", valid=valid, seen=seen), expected)


def test_the_published_weights_are_the_defaults():
    _, a, c, _, seen = case(1)
    assert torch.equal(combine(a, c), combine(a, c, 0.7, "ovseg"))
    assert torch.equal(combine(a, c, None, "zsseg", seen=seen), combine(a, c, 0.7, "zsseg", seen=seen))
    assert torch.equal(
        combine(a, c, None, "fcclip", seen=seen), combine(a, c, (0.4, 0.8), "fcclip", seen=seen)
    )


def test_by_hand():
    a, c = torch.tensor([[[0.25, 0.81]], [[0.04, 0.16]]], dtype=torch.float64)
    close(combine(a, c, 0.5, "ovseg"), [[0.1, 0.36]])
    close(combine(a, c, 0.5, "ovseg", valid=torch.tensor([False])), [[0.5, 0.9]])
    seen = torch.tensor([True, False])
    close(combine(a, c, 1.0, "zsseg", seen=seen), [[0.25, 0.16]])


def test_zsseg_with_no_class_seen_is_ovseg_and_with_all_seen_swaps_the_weight():
    _, a, c, valid, _ = case(2)
    none, every = torch.zeros(C, dtype=torch.bool), torch.ones(C, dtype=torch.bool)
    ovseg = combine(a, c, 0.7, "ovseg", valid=valid)
    close(combine(a, c, 0.7, "zsseg", valid=valid, seen=none), ovseg.tolist())
    close(combine(a, c, 0.3, "zsseg", valid=valid, seen=every), ovseg.tolist())


def test_a_proposer_that_gives_nothing_to_any_class_gives_zeros():
    scores = combine(torch.zeros(2, 3), torch.full((2, 3), 1 / 3), None, "fcclip", seen=torch.ones(3).bool())
    assert scores.eq(0).all()


def test_no_region_gives_no_score():
    for mode in ENSEMBLES:
        seen = torch.ones(3, dtype=torch.bool) if mode in ("zsseg", "fcclip") else None
        assert combine(torch.zeros(0, 3), torch.zeros(0, 3), None, mode, seen=seen).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "ovsge"}, "Did you mean 'ovseg'"),
        ({"mode": "region", "weight": 0.5}, "takes no weight"),
        ({"mode": "zsseg"}, "trained on"),
        ({"mode": "fcclip", "weight": 0.5, "seen": torch.ones(C).bool()}, "must be two"),
        ({"mode": "ovseg", "weight": (0.5, 0.5)}, "must be one number"),
        ({"mode": "ovseg", "weight": 1.5}, r"in \[0, 1\]"),
        ({"mode": "ovseg", "seen": torch.ones(C).bool()}, "does not use seen"),
    ],
)
def test_a_wrong_or_unused_argument_is_refused(arguments: dict, message: str):
    _, a, c, _, _ = case(0)
    with pytest.raises(ConfigError, match=message):
        combine(a, c, **arguments)


def test_a_proposer_without_scores_can_only_be_used_for_regions():
    _, _, c, _, _ = case(0)
    with pytest.raises(ConfigError, match="Use 'region'"):
        combine(None, c)


def test_shapes_that_differ_are_refused():
    _, a, c, valid, seen = case(0)
    with pytest.raises(ValueError, match="proposal_scores"):
        combine(a[:, :2], c)
    with pytest.raises(ValueError, match="valid"):
        combine(a, c, valid=valid[:2])
    with pytest.raises(ValueError, match="seen"):
        combine(a, c, None, "zsseg", seen=seen[:2])
