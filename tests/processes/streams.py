"""What each of two processes finds when it reads a stream with the other, and saves memory."""

import dataclasses
import shutil
from pathlib import Path

import torch
from processes.training import RECIPE, make_model, raised, retrieval

import radapter
from radapter.data import open_classification, open_pairs
from radapter.data.images.augment import Augmentation
from radapter.data.shards.exporting import export_shards
from radapter.data.shards.stream import open_labelled_stream, open_pair_stream
from radapter.data.shards.stream_loader import StreamLoader
from radapter.methods import RETRIEVAL, RAdapterSettings
from radapter.processes import Processes, join
from radapter.runs.fine_tuning import train_method
from radapter.training import Environment

IMAGES, CAPTIONED = 23, 12
TRAININGS = {  # changes of the recipe, and whether the training set is a stream; each step takes all images
    "stream": ({}, True),
    "stream in chunks": ({"chunk_size": 3}, True),
    "checkpointed": ({"gradient_checkpointing": True}, False),
    "checkpointed in chunks": ({"gradient_checkpointing": True, "chunk_size": 3}, False),
    "frozen text tower": ({"settings": RAdapterSettings(towers=["image"])}, False),
}


def prepare(folder: Path) -> None:
    """A model, labelled and captioned shards, and two damaged copies."""
    make_model(folder / "model")
    labelled = open_classification({"world": "train", "size": IMAGES})
    export_shards(labelled, folder / "labelled", source="world", shard_size=30_000)
    pairs = open_pairs({"world": "scenes", "size": CAPTIONED})
    export_shards(pairs, folder / "pairs", source="world", join_captions=True, shard_size=15_000)
    shutil.copytree(folder / "labelled", folder / "cut")
    shard = folder / "cut" / "00001.tar"
    shard.write_bytes(b"x" * 512 + shard.read_bytes()[512:])
    shutil.copytree(folder / "labelled", folder / "unreadable")
    shard = folder / "unreadable" / "00001.tar"
    shard.write_bytes(shard.read_bytes().replace(b"IDAT", b"IDXT", 1))


def loader(folder: Path, processes: Processes, *, max_bad: float = 0.5) -> StreamLoader:
    return StreamLoader(
        open_labelled_stream({"stream": str(folder), "buffer": 4}),
        radapter.load("world:tiny").preprocess,
        Augmentation(48),
        batch_size=6,
        seed=2,
        max_bad=max_bad,
        processes=processes,
    )


def steps(folder: Path, processes: Processes):
    """Each step's images and sizes, put together; and how many were counted as damaged."""
    stream, found = loader(folder, processes), []
    for batch in stream.epoch(0):
        parts = processes.gather(batch.indices.tolist())
        sizes = batch.sizes or (len(batch),)
        assert sizes == tuple(map(len, parts))
        found.append([index for part in parts for index in part])
    return found, len(stream.bad)


def trained(case: str, folder: Path, processes: Processes, *, fsdp: bool = False):
    """The weights after two steps of all images, in float64."""
    changes, is_stream = TRAININGS[case]
    suite = retrieval()
    if is_stream:
        train = open_pair_stream({"stream": str(folder / "pairs")})
        suite = dataclasses.replace(suite, train=train, per_group=2)
    # a process has its part of all images: 12 images with two captions each, or 24 pairs
    recipe = dataclasses.replace(RECIPE, batch_size=24, fsdp=fsdp, **changes)
    encoder = radapter.load(folder / "model").double()
    outcome = train_method(
        RETRIEVAL["r-adapter"], encoder, suite, recipe, seed=1, environment=Environment(processes)
    )
    return {name: t for name, t in outcome.classifier.state_dict().items() if "radapter" in name}


def found_by(processes: Processes, folder: Path):
    return {
        "steps": steps(folder / "labelled", processes),
        "unreadable": steps(folder / "unreadable", processes),
        "cut": raised(lambda: steps(folder / "cut", processes)),
        "too many": raised(lambda: list(loader(folder / "unreadable", processes, max_bad=0.01).epoch(0))),
        "trained": {case: trained(case, folder, processes) for case in TRAININGS},
        "fsdp": trained("checkpointed", folder, processes, fsdp=True) if processes.size > 1 else None,
    }


def run(folder: str) -> None:
    """What a started process does."""
    processes = join()
    torch.save(found_by(processes, Path(folder)), Path(folder) / f"{processes.size}-{processes.rank}.pt")
