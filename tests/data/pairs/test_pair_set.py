"""Sets of pairs: images, captions, subsets, samples, and several sets as one."""

import numpy as np
import pytest
import torch

from radapter.data import EvalLoader, TrainLoader
from radapter.data.images.augment import Augmentation
from radapter.data.images.sequences import ArrayImages
from radapter.data.pairs.pair_set import PairSet, joined
from radapter.errors import DataError


def pairs(captions, images, *, name="set", groups=None, targets=None):
    """A set whose image n is of the colour (n, 0, 0) and has the key 100 + n."""
    count = max(images) + 1
    pixels = torch.zeros(count, 3, 2, 2, dtype=torch.uint8)
    pixels[:, 0] = torch.arange(count)[:, None, None]
    groups = torch.arange(count) if groups is None else torch.tensor(groups)
    return PairSet(
        name,
        ArrayImages(pixels, name=name),
        torch.arange(count),
        100 + torch.arange(count),
        tuple(captions),
        torch.tensor(images),
        groups,
        groups if targets is None else torch.tensor(targets),
    )


@pytest.fixture
def three():
    return pairs(["a", "b", "c", "d", "e"], [0, 0, 1, 2, 2], targets=[5, 7, 5])


def test_a_set_counts_its_images_and_shows_them(three):
    assert len(three) == 3
    assert three.image(2).getpixel((0, 0)) == (2, 0, 0)
    assert three.where(2) == "set 2"
    assert three.labels.tolist() == [5, 7, 5]


def test_captions_of_the_kept_images_come_along(three):
    some = three.subset([2, 0], name="some")
    assert some.captions == ("d", "e", "a", "b")
    assert some.image_of_caption.tolist() == [0, 0, 1, 1]
    assert (some.keys.tolist(), some.targets.tolist()) == ([102, 100], [5, 5])
    assert some.image(0).getpixel((0, 0)) == (2, 0, 0)
    assert some.name == "some"


def test_a_mask_chooses_as_indices_do(three):
    assert three.subset(torch.tensor([True, False, True])).captions == three.subset([0, 2]).captions


def test_captions_need_not_stand_in_the_order_of_the_images():
    mixed = pairs(["a", "b", "c"], [1, 0, 1])
    assert mixed.subset([1]).captions == ("a", "c")


def test_an_empty_subset_is_refused(three):
    with pytest.raises(DataError, match="'set' holds none"):
        three.subset([])


def test_a_sample_is_a_caption_with_its_image(three):
    samples = three.samples()
    assert len(samples) == 5
    assert samples.image_of_sample.tolist() == [0, 0, 1, 2, 2]
    assert samples.labels.tolist() == samples.targets.tolist() == [5, 5, 7, 5, 5]
    assert samples.keys.tolist() == [100, 100, 101, 102, 102]
    assert samples.groups.tolist() == [0, 0, 1, 2, 2]
    assert (samples.caption(3), samples.where(3), samples.name) == ("d", "set 2", "set")
    assert samples.image(3).getpixel((0, 0)) == (2, 0, 0)


@pytest.mark.parametrize(("captions", "images"), [(["a", "b"], [0, 2]), (["a", "b", "c"], [-1, 0, 1])])
def test_an_image_without_captions_or_a_caption_without_image_is_refused(captions, images):
    with pytest.raises(DataError, match="every image must have a caption"):
        pairs(captions, images)


def test_ids_of_different_sets_never_collide():
    both = joined([pairs(["a", "b"], [0, 1], groups=[3, 9]), pairs(["c", "d"], [0, 1], groups=[3, 3])])
    assert both.groups.tolist() == [0, 1, 2, 2]
    assert both.targets.tolist() == [0, 1, 2, 2]


def test_images_and_captions_of_joined_sets_follow_each_other(three):
    both = joined([three.subset([1, 2]), pairs(["f"], [0], name="other")])
    assert both.captions == ("c", "d", "e", "f")
    assert both.image_of_caption.tolist() == [0, 1, 1, 2]
    assert [both.where(index) for index in range(3)] == ["set 1", "set 2", "other 0"]
    assert [both.image(index).getpixel((0, 0))[0] for index in range(3)] == [1, 2, 0]
    assert both.keys.tolist() == [101, 102, 100]
    assert both.name == "set+other"


def test_a_caption_that_two_sets_share_joins_their_classes():
    sets = [pairs(["a", "b"], [0, 1]), pairs(["B", "c"], [0, 1])]
    assert joined(sets).targets.tolist() == [0, 1, 1, 2]
    assert joined(sets, join=False).targets.tolist() == [0, 1, 2, 3]


def test_joined_sets_can_be_cut_again(three):
    assert joined([three, three]).subset([3, 1]).captions == ("a", "b", "c")


def test_no_sets_are_refused():
    with pytest.raises(DataError, match="Got none"):
        joined([])


def test_an_index_outside_joined_images_is_an_error(three):
    with pytest.raises(IndexError, match=r"\[0, 6\)"):
        joined([three, three]).images.where(6)


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def test_the_evaluation_loader_takes_a_set(three):
    batches = list(EvalLoader(three, as_tensor, batch_size=2))
    assert [batch.labels.tolist() for batch in batches] == [[5, 7], [5]]
    assert torch.cat([batch.keys for batch in batches]).tolist() == three.keys.tolist()


def test_the_training_loader_takes_its_samples(three):
    samples = three.samples()
    loader = TrainLoader(samples, as_tensor, Augmentation(2, crop_scale=None), batch_size=2, seed=0)
    batches = list(loader.epoch(0))
    drawn = torch.cat([batch.indices for batch in batches])
    assert sorted(drawn.tolist()) == [0, 1, 2, 3, 4]
    assert torch.cat([batch.labels for batch in batches]).tolist() == samples.targets[drawn].tolist()
    assert (
        torch.cat([batch.pixels for batch in batches])[:, 0, 0, 0].tolist()
        == samples.image_of_sample[drawn].tolist()
    )
