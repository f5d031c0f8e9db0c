import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.hashing import finaliser, number

from radapter.hashing import mixed, pick, uniform

int64 = st.integers(-(2**63), 2**63 - 1)


@given(int64)
def test_the_mixer_is_splitmix64(value: int):
    assert mixed(torch.tensor([value])).item() % 2**64 == finaliser(value % 2**64)


@given(st.integers(0, 2**63 - 1), st.lists(int64, min_size=1, max_size=5), st.text(max_size=5))
def test_uniform_numbers_are_those_of_the_literal_hash(seed: int, index: list[int], stream: str):
    drawn = uniform(seed, torch.tensor(index), stream, count=2)
    assert drawn.tolist() == [[number(seed, i, stream, 1), number(seed, i, stream, 2)] for i in index]


def test_uniform_numbers_fill_the_interval_evenly():
    drawn = uniform(0, torch.arange(20_000), "test").squeeze(1)
    share = torch.histc(drawn, bins=10, min=0, max=1) / 20_000
    assert (share - 0.1).abs().max() < 0.01  # five standard deviations


def test_numbers_of_other_streams_seeds_and_indices_are_unrelated():
    index = torch.arange(5000)
    first = uniform(0, index, "a").squeeze(1)
    others = [uniform(0, index, "b"), uniform(1, index, "a"), uniform(0, index + 1, "a")]
    for other in others:
        correlation = torch.corrcoef(torch.stack([first, other.squeeze(1)]))[0, 1]
        assert correlation.abs() < 0.07  # five standard deviations


def test_pick_follows_the_weights_and_never_takes_a_zero():
    drawn = pick(uniform(0, torch.arange(10_000), "test"), torch.tensor([1.0, 0.0, 3.0]))
    share = torch.bincount(drawn.flatten(), minlength=3) / 10_000
    assert share[1] == 0
    assert abs(share[0] - 0.25) < 0.025
