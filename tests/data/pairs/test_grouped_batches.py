"""Grouped batches: what an epoch holds, whatever the classes are."""

import collections

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radapter.data import GroupedBatchSampler
from radapter.errors import ConfigError


@st.composite
def samplers(draw):
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=12))
    targets = draw(st.permutations([10 * number for number, size in enumerate(sizes) for _ in range(size)]))
    settings = {
        "groups_per_batch": draw(st.integers(1, len(sizes))),
        "per_group": draw(st.integers(1, max(sizes))),
        "seed": draw(st.integers(0, 2**40)),
    }
    return torch.tensor(targets), settings


@given(samplers(), st.integers(0, 50))
def test_every_class_comes_once_an_epoch_with_all_that_is_asked_or_all_it_has(drawn, epoch):
    targets, settings = drawn
    sizes = collections.Counter(targets.tolist())
    batches = GroupedBatchSampler(targets, **settings).epoch(epoch)
    seen = []
    for batch in batches:
        counts = collections.Counter(targets[batch].tolist())
        assert all(count == min(settings["per_group"], sizes[of]) for of, count in counts.items())
        seen += counts
    assert sorted(seen) == sorted(sizes)
    drawn_indices = [index for batch in batches for index in batch]
    assert len(drawn_indices) == len(set(drawn_indices))


@given(samplers())
def test_batches_hold_the_classes_asked_for_and_the_last_the_rest(drawn):
    targets, settings = drawn
    sampler = GroupedBatchSampler(targets, **settings)
    batches = sampler.epoch(0)
    wanted, classes = settings["groups_per_batch"], len(targets.unique())
    found = [len(targets[batch].unique()) for batch in batches]
    assert found[:-1] == [wanted] * (len(found) - 1)
    assert found[-1] == classes - wanted * (len(found) - 1)
    assert len(batches) == len(sampler)
    assert sum(map(len, batches)) == sampler.samples_per_epoch


@given(samplers(), st.integers(0, 9))
def test_an_epoch_is_a_pure_function(drawn, epoch):
    targets, settings = drawn
    first, second = GroupedBatchSampler(targets, **settings), GroupedBatchSampler(targets, **settings)
    first.epoch(epoch + 1)
    assert first.epoch(epoch) == second.epoch(epoch)


def test_epochs_and_seeds_differ():
    targets = torch.arange(40).repeat_interleave(5)
    options = {"groups_per_batch": 8, "per_group": 2}
    one = GroupedBatchSampler(targets, **options, seed=0)
    assert one.epoch(0) != one.epoch(1)
    assert one.epoch(0) != GroupedBatchSampler(targets, **options, seed=1).epoch(0)


def test_every_caption_gets_its_turn():
    sampler = GroupedBatchSampler(torch.zeros(5, dtype=torch.int64), groups_per_batch=1, per_group=2, seed=0)
    counts = collections.Counter(index for epoch in range(500) for index in sampler.epoch(epoch)[0])
    # 1,000 draws of 5: 200 each, standard deviation sqrt(500 * 0.4 * 0.6) = 11; four of them.
    assert all(abs(counts[index] - 200) < 44 for index in range(5))


def test_classes_meet_other_classes_in_other_epochs():
    sampler = GroupedBatchSampler(torch.arange(20), groups_per_batch=2, per_group=1, seed=0)
    partners = {
        index for epoch in range(100) for batch in sampler.epoch(epoch) if 0 in batch for index in batch
    }
    assert len(partners) == 20


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("groups_per_batch", 4, r"groups_per_batch must be in \[1, 3\].*Got 4"),
        ("groups_per_batch", 0, "groups_per_batch must be in"),
        ("per_group", 3, r"per_group must be in \[1, 2\].*Got 3"),
        ("per_group", 0, "per_group must be in"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(option, value, message):
    options = {"groups_per_batch": 2, "per_group": 1, "seed": 0, option: value}
    with pytest.raises(ConfigError, match=message):
        GroupedBatchSampler(torch.tensor([0, 0, 1, 1, 2]), **options)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"targets must be \(M,\)"):
        GroupedBatchSampler(torch.zeros(2, 2), groups_per_batch=1, per_group=1, seed=0)
