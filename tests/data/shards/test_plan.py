"""Who reads what: everybody as much, every sample once, whatever the sizes and the numbers."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter.data.shards.plan import (
    Segment,
    reader_stretch,
    segments,
    shard_order,
    stretch,
)
from radapter.data.shards.sizes import Shards
from radapter.data.shards.stream import ShardStream, check_places
from radapter.errors import ConfigError
from radapter.processes import share

COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def test_a_plan_by_hand():
    # 10 samples in shards of 4, 1, 5 that stand as 2, 0, 1; two processes, four samples a step
    counts, order = [4, 1, 5], [2, 0, 1]
    first, second = (stretch(10, 4, rank, 2) for rank in (0, 1))
    assert (first, second) == (range(0, 5), range(5, 10))
    assert segments(counts, order, first) == [Segment(2, 0, 5)]
    assert segments(counts, order, second) == [Segment(0, 0, 4), Segment(1, 0, 1)]


def test_a_stretch_is_cut_in_the_middle_of_a_shard():
    assert segments([4, 6], [1, 0], range(2, 8)) == [Segment(1, 2, 6), Segment(0, 0, 2)]


def test_what_is_less_than_one_for_each_process_is_left_out():
    assert [stretch(9, 4, rank, 4) for rank in range(4)] == [range(2 * r, 2 * r + 2) for r in range(4)]


@given(COUNTS, st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_every_sample_is_read_once_but_for_less_than_one_a_process(counts, world, each, readers, seed):
    per_step, samples = world * each, sum(counts)
    order, read = shard_order(len(counts), seed, epoch=2), []
    for rank in range(world):
        own = stretch(samples, per_step, rank, world)
        for reader in range(readers):
            for shard, start, stop in segments(counts, order, reader_stretch(own, each, reader, readers)):
                assert 0 <= start < stop <= counts[shard]
                read += [(shard, place) for place in range(start, stop)]
    assert len(set(read)) == len(read)
    assert samples - len(read) < world


@given(st.integers(1, 300), st.integers(1, 6), st.integers(1, 8), st.integers(1, 4))
def test_every_process_has_as_many_batches_and_their_sizes_differ_by_one_at_most(
    samples, world, each, readers
):
    batches = []
    for rank in range(world):
        own = stretch(samples, world * each, rank, world)
        sizes = [
            [len(part[start : start + each]) for start in range(0, len(part), each)]
            for part in (reader_stretch(own, each, reader, readers) for reader in range(readers))
        ]
        steps = -(-len(own) // each)
        # in turn, as the loader takes them
        batches.append([sizes[t % readers][t // readers] for t in range(steps)])
        assert sum(map(len, sizes)) == steps
    assert len({len(of_one) for of_one in batches}) == 1
    for step in zip(*batches, strict=True):
        assert max(step) - min(step) <= 1
        assert list(step) == [len(share(sum(step), rank, world)) for rank in range(world)]


def test_the_order_of_shards_is_drawn_anew_for_every_epoch_and_seed():
    orders = {tuple(shard_order(8, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert shard_order(8, 0, 1) == shard_order(8, 0, 1)


def stream(*, shards=4, samples=100, readers=2):
    counts = {f"{number}.tar": samples if number == 0 else 0 for number in range(shards)}
    found = Shards(Path("DIR"), counts, {}, {}, shard_size=1, items=1, of=1)
    return ShardStream("name", found, torch.zeros(0), readers=readers)


@pytest.mark.parametrize(
    ("changed", "per_step", "said"),
    [
        (
            {"shards": 3},
            8,
            "4 for 2 processes with 2 readers each. 'DIR' has 3. Start fewer, or write smaller shards",
        ),
        ({"shards": 1, "readers": 0}, 8, "2 for 2 processes. 'DIR' has 1"),
        ({}, 9, "a multiple of 2 images. Got 9. Use 10"),
        ({"samples": 1}, 8, "an image for each of 2 processes"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_its_remedy(changed, per_step, said):
    check_places(stream(), per_step=8, world_size=2)
    with pytest.raises(ConfigError) as caught:
        check_places(stream(**changed), per_step=per_step, world_size=2)
    assert said in str(caught.value)
