"""Batches: their order, what is skipped, and that workers and caches change nothing."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import BadImages, EvalLoader, Memory, TrainLoader, array_set, open_classification
from radapter.data.images.augment import CROP_SCALE, Augmentation
from radapter.errors import ConfigError, DataError, ImageError


def _to_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


@pytest.fixture
def dataset():
    """Ten images of noise in three classes."""
    pixels = torch.randint(
        0, 256, (10, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return array_set("noise", pixels, torch.arange(10) % 3, ["a", "b", "c"])


@pytest.fixture
def damaged(tmp_path):
    """Ten images in files, of which the third and the eighth are cut short."""
    for number in range(10):
        path = tmp_path / "x" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        if number in (2, 7):
            path.write_bytes(path.read_bytes()[:40])
    return open_classification(str(tmp_path))


def _loader(dataset, *, crop_scale=CROP_SCALE, flip=True, **options):
    augment = Augmentation(8, crop_scale, flip)
    return TrainLoader(dataset, _to_tensor, augment, **({"batch_size": 4, "seed": 0} | options))


def _pass(batches):
    return [(b.indices.tolist(), b.labels.tolist(), b.keys.tolist(), b.pixels) for b in batches]


def _same(first, second):
    return len(first) == len(second) and all(
        a[:3] == b[:3] and torch.equal(a[3], b[3]) for a, b in zip(first, second, strict=True)
    )


# --- evaluation ------------------------------------------------------------------------------------------------


def test_batches_come_in_order_with_labels_and_keys(dataset):
    found = list(EvalLoader(dataset, _to_tensor, batch_size=4))
    assert [len(batch) for batch in found] == [4, 4, 2]
    assert torch.cat([batch.indices for batch in found]).tolist() == list(range(10))
    assert torch.equal(torch.cat([batch.labels for batch in found]), dataset.labels)
    assert torch.equal(torch.cat([batch.keys for batch in found]), dataset.keys)
    assert torch.equal(found[1].pixels[0], _to_tensor(dataset.image(4)))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_change_evaluation(dataset, workers):
    alone = _pass(EvalLoader(dataset, _to_tensor, batch_size=3))
    assert _same(alone, _pass(EvalLoader(dataset, _to_tensor, batch_size=3, workers=workers)))


def test_second_pass_is_replayed_from_memory(dataset):
    decoded = []
    loader = EvalLoader(dataset, lambda i: decoded.append(i) or _to_tensor(i), batch_size=4, memory=Memory(1))
    assert _same(_pass(loader), _pass(loader))
    assert len(decoded) == 10


@pytest.mark.parametrize("memory", [None, Memory(0.001)])
def test_without_memory_every_pass_decodes(dataset, memory):
    decoded = []
    loader = EvalLoader(dataset, lambda i: decoded.append(i) or _to_tensor(i), batch_size=4, memory=memory)
    assert _same(_pass(loader), _pass(loader))
    assert len(decoded) == 20


def test_memory_returns_when_the_loader_goes(dataset):
    size = 10 * 3 * 8 * 8 * 4
    memory = Memory(size / 2**20)
    loader = EvalLoader(dataset, _to_tensor, batch_size=4, memory=memory)
    assert len(_pass(loader)) == 3
    assert not memory.take(1)
    del loader
    assert memory.take(size)


def test_pass_left_early_gives_its_memory_back(dataset):
    size = 10 * 3 * 8 * 8 * 4
    memory = Memory(size / 2**20)
    next(iter(EvalLoader(dataset, _to_tensor, batch_size=4, memory=memory)))
    assert memory.take(size)


def test_progress_ends_at_all(dataset):
    steps = []
    list(
        EvalLoader(
            dataset, _to_tensor, batch_size=4, progress=lambda done, total: steps.append((done, total))
        )
    )
    assert steps == [(4, 10), (8, 10), (10, 10)]


def test_corrupt_images_are_skipped_logged_and_counted_once(damaged, caplog):
    loader = EvalLoader(damaged, _to_tensor, batch_size=4, max_bad=0.2)
    with caplog.at_level(logging.WARNING):
        found = [index for _ in range(2) for batch in loader for index in batch.indices.tolist()]
    assert found == [0, 1, 3, 4, 5, 6, 8, 9] * 2
    assert len(loader.bad) == 2
    assert [damaged.where(index) in text for index, text in zip((2, 7), caplog.messages, strict=True)] == [
        True
    ] * 2


def test_of_many_unreadable_images_three_are_listed_and_the_others_counted(caplog):
    bad = BadImages("photos", 100, max_bad=0.5)
    for index in range(20):
        bad.add(index, ImageError(f"image {index} is damaged"))
    assert len(bad) == len(bad.messages) == 20
    assert [text for text in caplog.messages if "damaged" in text] == [
        f"skipped: image {index} is damaged" for index in range(3)
    ]
    assert len(caplog.messages) == 4


def test_too_many_corrupt_images_end_the_pass(damaged):
    with pytest.raises(DataError, match=r"at most 10\.00% .*max_bad.*x/2\.png.*x/7\.png"):
        list(EvalLoader(damaged, _to_tensor, batch_size=4, max_bad=0.1))


def test_set_without_a_readable_image_is_refused(damaged):
    with pytest.raises(DataError, match="readable image"):
        list(EvalLoader(damaged.subset([2, 7]), _to_tensor, batch_size=1, max_bad=1.0))


def test_default_rate_is_one_percent():
    bad = BadImages("set", 200)
    bad.add(0, ImageError("first"))
    bad.add(0, ImageError("first"))
    bad.add(1, ImageError("second"))
    with pytest.raises(DataError, match=r"at most 1\.00%.*200.*at least 3"):
        bad.add(2, ImageError("third"))


# --- training --------------------------------------------------------------------------------------------------


def test_epoch_holds_every_image_once(dataset):
    loader = _loader(dataset)
    found = list(loader.epoch(0))
    assert len(found) == loader.steps_per_epoch == 3
    assert sorted(torch.cat([batch.indices for batch in found]).tolist()) == list(range(10))


def test_epochs_and_seeds_differ_and_repeat(dataset):
    orders = [tuple(_loader(dataset, seed=seed).order(epoch)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4
    assert _same(_pass(_loader(dataset).epoch(3)), _pass(_loader(dataset).epoch(3)))


@pytest.mark.parametrize("start_step", [0, 1, 2, 3])
def test_epoch_continues_where_it_was_left(dataset, start_step):
    whole = _pass(_loader(dataset).epoch(5))
    assert _same(_pass(_loader(dataset).epoch(5, start_step)), whole[start_step:])


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_training(dataset, workers):
    assert _same(_pass(_loader(dataset).epoch(0)), _pass(_loader(dataset, workers=workers).epoch(0)))


def test_memory_does_not_change_training(dataset):
    plain, cached = _loader(dataset), _loader(dataset, memory=Memory(1))
    for epoch in (0, 1):
        assert _same(_pass(plain.epoch(epoch)), _pass(cached.epoch(epoch)))


def test_memory_decodes_each_image_once(damaged, monkeypatch):
    readable = damaged.subset([0, 1, 3])
    loader = _loader(readable, memory=Memory(1))
    first = _pass(loader.epoch(0))
    monkeypatch.setattr(type(damaged.images), "image", lambda *_: pytest.fail("decoded again"))
    assert len(_pass(loader.epoch(1))) == len(first)


def test_order_and_augmentation_follow_content(dataset):
    turned = dataset.subset(list(reversed(range(10))))
    first, second = _pass(_loader(dataset).epoch(2)), _pass(_loader(turned).epoch(2))
    assert [a[2] for a in first] == [b[2] for b in second]
    assert all(torch.equal(a[3], b[3]) for a, b in zip(first, second, strict=True))


def test_copies_of_one_image_are_told_apart():
    pixels = torch.zeros(40, 3, 4, 4, dtype=torch.uint8)
    copies = array_set("copies", pixels, torch.zeros(40), ["a"])
    assert _loader(copies).order(0) != list(range(40))


def test_crop_and_flip_are_observable(dataset):
    variants = [{}, {"crop_scale": None}, {"flip": False}, {"crop_scale": (0.3, 0.5)}]
    assert len({tuple(_pass(_loader(dataset, **v).epoch(0))[0][3].flatten().tolist()) for v in variants}) == 4


def test_without_augmentation_images_are_as_stored(dataset):
    for batch in _loader(dataset, crop_scale=None, flip=False).epoch(0):
        for pixels, index in zip(batch.pixels, batch.indices.tolist(), strict=True):
            assert torch.equal(pixels, _to_tensor(dataset.image(index)))


def test_corrupt_images_make_batches_smaller_not_fewer(damaged):
    loader = _loader(damaged, max_bad=0.2)
    found = [batch.indices.tolist() for batch in loader.epoch(0)]
    assert len(found) == loader.steps_per_epoch
    assert sorted(index for batch in found for index in batch) == [0, 1, 3, 4, 5, 6, 8, 9]
    assert len(loader.bad) == 2


def test_batch_of_corrupt_images_only_borrows_the_next(damaged):
    loader = _loader(damaged, batch_size=1, max_bad=0.2)
    order = loader.order(0)
    found = [batch.indices.tolist() for batch in loader.epoch(0)]
    for place, index in enumerate(order):
        following = [other for other in order[place:] + order[:place] if other not in (2, 7)]
        assert found[place] == [following[0]], index


def test_too_many_corrupt_images_end_the_first_epoch(damaged):
    with pytest.raises(DataError, match="max_bad"):
        list(_loader(damaged, max_bad=0.1).epoch(0))


def test_failure_of_ours_is_not_taken_for_a_corrupt_image(dataset):
    def broken(image):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(EvalLoader(dataset, broken, batch_size=4, workers=2))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"workers": -1}, "workers must be >= 0"),
        ({"max_bad": 1.5}, "max_bad must be in"),
        ({"crop_scale": (0.0, 1.0)}, "crop_scale must be"),
        ({"crop_scale": (0.9, 0.5)}, "crop_scale must be"),
    ],
)
def test_option_outside_its_range_is_refused(dataset, option, message):
    with pytest.raises(ConfigError, match=message):
        _loader(dataset, **option)


@pytest.mark.parametrize("start_step", [-1, 4])
def test_start_step_outside_the_epoch_is_refused(dataset, start_step):
    with pytest.raises(ValueError, match=r"start_step must be in \[0, 3\]"):
        list(_loader(dataset).epoch(0, start_step))


def test_memory_is_taken_and_given_back():
    memory = Memory(1)
    assert memory.take(2**20)
    assert not memory.take(1)
    memory.give_back(1)
    assert memory.take(1)


@pytest.mark.parametrize("cache_mib", [-1, float("nan")])
def test_negative_memory_is_refused(cache_mib):
    with pytest.raises(ConfigError, match="cache_mib"):
        Memory(cache_mib)
