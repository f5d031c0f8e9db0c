"""Training from shards: the same loop, resumed exactly, guarded against leaks."""

from dataclasses import replace

import pytest
import torch
from runs.running import StopAfter

import radapter
from radapter.data import open_classification, open_pairs
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.stream import open_labelled_stream, open_pair_stream
from radapter.errors import DataError
from radapter.methods import METHODS, RETRIEVAL
from radapter.runs.fine_tuning import train_method
from radapter.tasks.leaks import check_disjoint
from radapter.tasks.retrieval import RetrievalSuite
from radapter.training import Checkpoints, Environment, Interrupted


@pytest.fixture(scope="module")
def streamed(suite, tmp_path_factory):
    """The small suite of the world, trained on as a stream of 60 images in 8 shards."""
    folder = tmp_path_factory.mktemp("labelled") / "shards"
    export_shards(suite.train, folder, source="world", shard_size=60_000)
    return replace(suite, train=open_labelled_stream({"stream": str(folder), "buffer": 20}))


@pytest.fixture(scope="module")
def pair_suite(tmp_path_factory):
    pairs = open_pairs({"world": "scenes", "size": 48})
    folder = tmp_path_factory.mktemp("pairs") / "shards"
    export_shards(pairs, folder, source="world", join_captions=True, shard_size=60_000)
    test = open_pairs({"world": "scenes", "size": 20, "seed": 1})
    train = open_pair_stream({"stream": str(folder), "buffer": 20})
    return RetrievalSuite(train=train, id_val=None, id_test={"test": test}, ood={}, per_group=2)


def weights(trained):
    return {name: p.detach().clone() for name, p in trained.classifier.named_parameters()}


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_a_stopped_run_continues_bitwise_in_the_middle_of_an_epoch(
    streamed, pair_suite, recipe, tmp_path, task
):
    suite = streamed if task == "classification" else pair_suite
    method = (METHODS if task == "classification" else RETRIEVAL)["r-adapter"]

    def train(folder, **options):
        encoder = radapter.load("world:tiny")
        checkpoints = Checkpoints(folder)
        return weights(
            train_method(method, encoder, suite, recipe, seed=5, checkpoints=checkpoints, **options)
        )

    whole = train(tmp_path / "whole")
    for stop in (2, 4, 5):
        asks = StopAfter(stop)
        with pytest.raises(Interrupted, match=f"after step {stop} of"):
            train(tmp_path / f"stopped-{stop}", environment=Environment(stop=asks, report=asks))
        continued = train(tmp_path / f"stopped-{stop}", resume=True)
        assert whole.keys() == continued.keys()
        assert all(torch.equal(whole[name], continued[name]) for name in whole)


def test_a_stream_trains_as_the_listed_set_does(suite, streamed, recipe):
    """One step of all images: the order in a batch is all that differs."""
    recipe = replace(recipe, batch_size=60, epochs=2)
    listed, stream = (
        weights(train_method(METHODS["r-adapter"], radapter.load("world:tiny"), each, recipe, seed=5))
        for each in (suite, streamed)
    )
    for name, parameter in listed.items():
        # float32, sums in another order; AdamW makes as much of a tiny gradient as of a large one
        assert (stream[name] - parameter).norm() <= 1e-3 * parameter.norm() + 1e-6, name


@pytest.mark.parametrize("options", [{"chunk_size": 5}, {"precision": "bf16"}])
def test_pairs_of_a_stream_train_in_chunks_and_in_bf16(pair_suite, recipe, options):
    before = weights_of(radapter.load("world:tiny"))
    trained = train_method(
        RETRIEVAL["full-both-towers"],
        radapter.load("world:tiny"),
        pair_suite,
        replace(recipe, epochs=1, **options),
        seed=0,
    )
    after = weights_of(trained.classifier.encoder)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)


def weights_of(encoder):
    return {name: p.detach().clone() for name, p in encoder.named_parameters()}


def test_an_image_that_is_tested_on_may_not_be_in_the_shards(streamed, suite):
    check_disjoint(streamed)
    leaking = replace(streamed, id_test={"leak": suite.train.subset([3, 4])})
    with pytest.raises(DataError, match="Of the 2 in 'leak' 2 are also in"):
        check_disjoint(leaking)


def test_unreadable_images_are_no_leak(streamed, suite):
    unreadable = replace(suite.train.subset([0]), keys=torch.zeros(1, dtype=torch.int64))
    check_disjoint(replace(suite, train=unreadable, id_test={"same": unreadable}))


def test_the_listed_shards_train_bitwise_as_their_source(suite, streamed, recipe):
    folder = streamed.train.shards.folder
    listed = open_classification({"shards": str(folder)}, classnames=suite.classnames)
    first, second = (
        weights(
            train_method(
                METHODS["r-adapter"], radapter.load("world:tiny"), replace(suite, train=data), recipe, seed=1
            )
        )
        for data in (suite.train, listed)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
