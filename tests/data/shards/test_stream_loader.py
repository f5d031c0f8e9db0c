"""A stream gives what a listed set gives, in another order, the same however it is shared, read and resumed."""

import itertools
import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from radapter.data import TrainLoader, open_classification, open_pairs
from radapter.data.images.augment import Augmentation
from radapter.data.shards import SIZES
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.stream import open_labelled_stream, open_pair_stream
from radapter.data.shards.stream_loader import StreamLoader
from radapter.errors import ConfigError, DataError, ReaderError
from radapter.models import load
from radapter.processes import ALONE, STOPPING
from radapter.tasks.suite import Recipe, stream_loader

IMAGES = 26
AUGMENT = Augmentation(24)


def as_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


@pytest.fixture(scope="module")
def labelled():
    return open_classification({"world": "train", "size": IMAGES})


@pytest.fixture(scope="module")
def pairs():
    return open_pairs({"world": "scenes", "size": IMAGES})


@pytest.fixture(scope="module")
def folder(labelled, tmp_path_factory):
    path = tmp_path_factory.mktemp("labelled") / "shards"
    written = export_shards(labelled, path, source="world", shard_size=30_000)
    assert len(written.counts) == 7
    return path


@pytest.fixture(scope="module")
def pair_folder(pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "shards"
    export_shards(pairs, path, source="world", join_captions=True, shard_size=30_000)
    return path


def loader(folder, *, opened=open_labelled_stream, stream=None, augment=AUGMENT, **options):
    dataset = opened({"stream": str(folder), "buffer": 5, **(stream or {})})
    return StreamLoader(dataset, as_tensor, augment, **{"batch_size": 4, "seed": 3} | options)


def process(rank, size):
    """One process of several, not connected to the others: its batches can be read, but not their counts."""
    return SimpleNamespace(rank=rank, size=size, together=ALONE.together)


def seen(batches):
    """What each sample is, by its number."""
    return {
        int(index): (int(batch.labels[row]), int(batch.keys[row]), batch.pixels[row].numpy().tobytes())
        for batch in batches
        for row, index in enumerate(batch.indices)
    }


def order(batches):
    return [batch.indices.tolist() for batch in batches]


def same(first, second):
    return order(first) == order(second) and all(
        torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels) and a.captions == b.captions
        for a, b in zip(first, second, strict=True)
    )


# --- one process -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epoch_holds_what_an_epoch_of_the_listed_set_holds_pixel_for_pixel(labelled, folder, epoch):
    listed = TrainLoader(labelled, as_tensor, AUGMENT, batch_size=4, seed=3)
    assert seen(loader(folder).epoch(epoch)) == seen(listed.epoch(epoch))


def test_the_order_is_drawn_anew_for_every_epoch_and_seed_and_mixes_shards(folder):
    stream = loader(folder)
    orders = [order(stream.epoch(epoch)) for epoch in (0, 1)] + [order(loader(folder, seed=4).epoch(0))]
    assert len({str(each) for each in orders}) == 3
    assert str(order(stream.epoch(1))) == str(orders[1])
    first_shard = set(range(next(iter(stream.dataset.shards.counts.values()))))
    assert not any(set(batch) <= first_shard for batch in orders[0])


def test_steps_are_counted_and_the_last_takes_what_is_left(folder):
    stream = loader(folder)
    assert stream.steps_per_epoch == 7
    assert [len(batch) for batch in stream.epoch(0)] == [4] * 6 + [2]


@pytest.mark.parametrize("readers", [0, 2])
@pytest.mark.parametrize("start", [1, 4, 7])
def test_an_epoch_continued_in_its_middle_is_the_rest_of_it(folder, readers, start):
    stream = loader(folder, stream={"readers": readers})
    assert same(list(stream.epoch(1, start_step=start)), list(stream.epoch(1))[start:])


def test_what_was_used_before_is_not_decoded_again(folder):
    decoded = []
    stream = loader(folder)
    stream._preprocess = lambda image: decoded.append(1) or as_tensor(image)
    assert len(list(stream.epoch(0, start_step=5))) == 2
    assert len(decoded) == 6


@pytest.mark.parametrize("workers", [1, 3])
def test_decoding_threads_change_nothing(folder, workers):
    assert same(list(loader(folder, workers=workers).epoch(0)), list(loader(folder).epoch(0)))


def test_a_buffer_of_one_leaves_the_samples_of_a_shard_in_order(folder):
    stream = loader(folder, stream={"buffer": 1})
    line = [index for batch in order(stream.epoch(0)) for index in batch]
    assert sum(b == a + 1 for a, b in itertools.pairwise(line)) >= IMAGES - 7


@pytest.mark.parametrize("options", [{"crop_scale": None}, {"flip": False}])
def test_crops_and_flips_can_be_left_out(folder, options):
    assert seen(loader(folder, augment=Augmentation(24, **options)).epoch(0)) != seen(loader(folder).epoch(0))


# --- several processes and readers -------------------------------------------------------------------------------


@pytest.mark.parametrize("readers", [0, 1, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_processes_and_readers_share_an_epoch(labelled, folder, world_size, readers):
    parts = [
        list(loader(folder, stream={"readers": readers}, processes=process(rank, world_size)).epoch(0))
        for rank in range(world_size)
    ]
    assert [len(part) for part in parts] == [7] * world_size
    together = [seen(part) for part in parts]
    assert sum(map(len, together)) == IMAGES
    listed = TrainLoader(labelled, as_tensor, AUGMENT, batch_size=4, seed=3)
    assert {n: s for part in together for n, s in part.items()} == seen(listed.epoch(0))


def test_every_process_has_its_share_of_each_step(folder):
    sizes = [
        [len(batch) for batch in loader(folder, processes=process(r, 3), batch_size=9).epoch(0)]
        for r in range(3)
    ]
    assert sizes == [[3, 3, 3], [3, 3, 3], [3, 3, 2]]


def readers_of_this_process():
    return {child.pid for child in multiprocessing.active_children()}


def test_a_reader_that_is_killed_is_reported_with_the_remedy_between_two_batches(folder):
    before, torch_s = readers_of_this_process(), signal.getsignal(signal.SIGCHLD)
    batches = loader(folder, stream={"readers": 1, "buffer": 1}).epoch(0)
    next(batches)
    assert signal.getsignal(signal.SIGCHLD) is torch_s  # else it raises in the middle of a step
    (reader,) = readers_of_this_process() - before
    os.kill(reader, signal.SIGKILL)
    with pytest.raises(ReaderError, match=r"One was killed: .* memory ran out: set fewer 'readers'"):
        list(batches)


def test_readers_do_not_hear_signals_that_are_sent_to_all(folder):
    before = readers_of_this_process()
    batches = loader(folder, stream={"readers": 2}).epoch(0)
    found = [next(batches), next(batches)]  # one of each
    for reader in readers_of_this_process() - before:
        for number in STOPPING:
            os.kill(reader, number)
    assert same(found + list(batches), list(loader(folder, stream={"readers": 2}).epoch(0)))


def test_readers_end_with_the_process_that_started_them(folder):
    parent = os.fork()
    if parent == 0:
        try:
            batches = loader(folder, stream={"readers": 2}).epoch(0)
            next(batches)
            signal.pause()
        finally:
            os._exit(1)
    children = f"/proc/{parent}/task/{parent}/children"
    while len(readers := Path(children).read_text().split()) < 2:
        time.sleep(0.05)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    for reader in readers:
        while is_running(reader):
            time.sleep(0.05)


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def not_forked():
    """Processes are started as on macOS and Windows, and by default from Python 3.14 on."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("not_forked")
def test_readers_that_are_not_forked_change_nothing(folder):
    recipe, encoder = Recipe(batch_size=4), load("world:tiny")
    forked, alone = (
        stream_loader(
            open_labelled_stream({"stream": str(folder), "buffer": 5, "readers": readers}),
            encoder,
            recipe,
            flip=True,
            seed=3,
        )
        for readers in (1, 0)
    )
    assert same(list(forked.epoch(0)), list(alone.epoch(0)))


def test_fewer_shards_than_readers_are_refused(folder):
    with pytest.raises(ConfigError, match="a shard for each that reads, 8 for 4 processes with 2 readers"):
        loader(folder, stream={"readers": 2}, processes=process(0, 4))


@pytest.mark.parametrize("readers", [0, 2])
def test_damage_is_reported_in_one_sentence_whoever_reads(folder, tmp_path, readers):
    copy = copied(folder, tmp_path)
    shard = copy / "00003.tar"
    shard.write_bytes(b"x" * 512 + shard.read_bytes()[512:])
    with pytest.raises(DataError, match=r"^tar must be a whole.*00003\.tar"):
        list(loader(copy, stream={"readers": readers}).epoch(0))


# --- pairs -------------------------------------------------------------------------------------------------------


def pair_loader(pair_folder, **options):
    return loader(pair_folder, opened=open_pair_stream, **options)


def test_each_image_brings_one_of_its_captions_and_another_in_another_epoch(pairs, pair_folder):
    stream = pair_loader(pair_folder)
    drawn = []
    for epoch in range(4):
        batches = list(stream.epoch(epoch))
        found = {
            int(index) // stream.dataset.most_captions: caption
            for batch in batches
            for index, caption in zip(batch.indices, batch.captions, strict=True)
        }
        assert sorted(found) == list(range(IMAGES))
        assert all(caption in captions_of(pairs, image) for image, caption in found.items())
        drawn.append(tuple(found[image] for image in range(IMAGES)))
    assert len(set(drawn)) == 4


def test_target_classes_are_those_of_the_whole_set(pairs, pair_folder):
    for batch in pair_loader(pair_folder).epoch(0):
        images = batch.indices // 5
        assert torch.equal(batch.labels, pairs.targets[images])
        assert torch.equal(batch.groups, pairs.groups[images])
        assert torch.equal(batch.keys, pairs.keys[images])


def test_all_captions_of_an_image_are_the_pairs_of_the_listed_set_pixel_for_pixel(pairs, pair_folder):
    batches = list(pair_loader(pair_folder, per_image=5, batch_size=20).epoch(2))
    listed = TrainLoader(pairs.samples(), as_tensor, AUGMENT, batch_size=20, seed=3)
    expected = sorted(
        (pairs.captions[index], int(batch.labels[row]), batch.pixels[row].numpy().tobytes())
        for batch in listed.epoch(2)
        for row, index in enumerate(batch.indices.tolist())
    )
    found = sorted(
        (caption, int(batch.labels[row]), batch.pixels[row].numpy().tobytes())
        for batch in batches
        for row, caption in enumerate(batch.captions)
    )
    assert found == expected


def test_captions_of_an_image_stand_side_by_side_and_have_crops_of_their_own(pair_folder):
    batch = next(iter(pair_loader(pair_folder, per_image=2, batch_size=8).epoch(0)))
    assert len(batch) <= 8
    images = (batch.indices // 5).tolist()
    twice = [row for row in range(len(images) - 1) if images[row] == images[row + 1]]
    assert twice
    for row in twice:
        assert batch.captions[row] != batch.captions[row + 1]
        assert not torch.equal(batch.pixels[row], batch.pixels[row + 1])


def captions_of(pairs, image):
    return {pairs.captions[m] for m in (pairs.image_of_caption == image).nonzero().flatten().tolist()}


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(tmp_path):
    """Twelve images in two shards, of which the third and the eighth are cut short."""
    for number in range(12):
        file = tmp_path / "photos" / "x" / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (number, 0, 0)).save(file)
        if number in (2, 7):
            file.write_bytes(file.read_bytes()[:60])
    dataset = open_classification(str(tmp_path / "photos"))
    export_shards(dataset, tmp_path / "shards", source="photos", shard_size=9_000)
    return tmp_path / "shards"


@pytest.mark.parametrize("readers", [0, 1])
def test_unreadable_images_are_skipped_and_counted_once(damaged, readers):
    stream = loader(damaged, stream={"readers": readers}, max_bad=0.2)
    for epoch in range(2):
        batches = list(stream.epoch(epoch))
        assert len(batches) == 3
        assert sorted(index for batch in order(batches) for index in batch) == [
            0,
            1,
            3,
            4,
            5,
            6,
            8,
            9,
            10,
            11,
        ]
    assert len(stream.bad) == 2


def test_too_many_unreadable_images_end_the_epoch(damaged):
    with pytest.raises(DataError, match="max_bad"):
        list(loader(damaged).epoch(0))


def test_a_batch_without_a_readable_image_is_an_error(damaged):
    with pytest.raises(DataError, match="must have a readable image in each step"):
        list(loader(damaged, batch_size=1, max_bad=0.5).epoch(0))


def copied(folder, tmp_path):
    """A copy whose sizes.json may be changed on purpose."""
    return shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("manifest.json"))


def changed(folder, **about):
    content = json.loads((folder / SIZES).read_text())
    content["written"] |= about
    (folder / SIZES).write_text(json.dumps(content))


def test_shards_that_are_not_complete_are_refused(folder, tmp_path):
    copy = copied(folder, tmp_path)
    changed(copy, items=[20, 26])
    with pytest.raises(DataError, match="20 of 26 items"):
        open_labelled_stream({"stream": str(copy)})


def test_a_count_that_hides_in_sizes_is_found_when_the_shard_is_read(folder, tmp_path):
    copy = copied(folder, tmp_path)
    content = json.loads((copy / SIZES).read_text())
    content["00001.tar"] += 1
    content["00002.tar"] -= 1
    (copy / SIZES).write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"0000[12]\.tar' holds \d, sizes.json says \d"):
        list(loader(copy).epoch(0))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"buffer": 0}, "buffer must be a whole number >= 1. Got 0"),
        ({"readers": -1}, "readers must be a whole number >= 0. Got -1"),
        ({"part": [0.0, 0.5]}, "unknown key 'part'. A stream source takes stream, buffer, readers"),
    ],
)
def test_a_wrong_setting_is_refused(folder, spec, said):
    with pytest.raises(ConfigError, match=said):
        open_labelled_stream({"stream": str(folder), **spec})


def test_labels_are_those_of_the_training_classes(labelled, folder):
    names = tuple(reversed(labelled.classnames))
    dataset = open_labelled_stream({"stream": str(folder)}, classnames=("another", *names))
    stream = StreamLoader(dataset, as_tensor, AUGMENT, batch_size=4, seed=3)
    for batch in stream.epoch(0):
        for label, index in zip(batch.labels.tolist(), batch.indices.tolist(), strict=True):
            assert dataset.classnames[label] == labelled.classnames[labelled.labels[index]]


def test_a_class_that_training_lacks_is_refused(labelled, folder):
    with pytest.raises(DataError, match="1 are not"):
        open_labelled_stream({"stream": str(folder)}, classnames=labelled.classnames[1:])


def test_streams_are_of_their_task(folder, pair_folder):
    with pytest.raises(DataError, match="must hold labelled images"):
        open_labelled_stream({"stream": str(pair_folder)})
    with pytest.raises(DataError, match="must hold image-text pairs"):
        open_pair_stream({"stream": str(folder)})


def test_joining_was_decided_when_shards_were_written(pair_folder):
    with pytest.raises(ConfigError, match=r"must be what the shards were written with, true\. Got false"):
        open_pair_stream({"stream": str(pair_folder)}, join=False)


def test_a_message_names_the_shard_and_the_place_of_a_sample(pair_folder):
    dataset = open_pair_stream({"stream": str(pair_folder)})
    counts = list(dataset.shards.counts.values())
    assert dataset.where((counts[0] + 1) * 5 + 3).endswith("00001.tar sample 1")
