"""A folder of shards as a training set: described by sizes.json, never listed."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, final

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from radapter.data.images.decoding import MAX_PIXELS
from radapter.data.labelled.labels import refuse_duplicates, renamed
from radapter.data.paths import PATH
from radapter.data.paths import place as placed
from radapter.data.shards.plan import Segment
from radapter.data.shards.reading import read
from radapter.data.shards.sizes import Shards, read_contents, read_shards
from radapter.data.source import DEFAULT, Reading, Source, Spec, checked, source_type
from radapter.data.splits import fingerprint
from radapter.errors import ConfigError, DataError
from radapter.zeroshot import name_key, spoken

BUFFER = 2_000
"""Default number of samples among which the next is drawn."""


class StreamSource(Source):
    """Tar shards that `radapter shards` wrote, of labelled images or of pairs, read in sequence and never listed.

    A stream is for `data.train`, and it is the only source there. docs/shards.md says what that means.
    """

    stream: Annotated[str, PATH] = Field(description="the folder, with its sizes.json")
    buffer: int = Field(
        default=BUFFER,
        ge=1,
        description="samples among which the next is drawn; each reader holds as many files",
    )
    readers: int = Field(
        default=0,
        ge=0,
        description="processes that read and decode, each its part of the shards; 0 reads in the training process",
    )


_ADAPTER: TypeAdapter[StreamSource] = TypeAdapter(
    source_type([StreamSource], words="a stream", may_be_path=False)
)


@final
@dataclass(frozen=True, eq=False)
class ShardStream:
    """Labelled or captioned images that are read sequentially."""

    name: str
    shards: Shards  # complete
    keys: Tensor  # content keys of all images, (K,), int64, sorted, memory-mapped; for the leak guard
    classnames: tuple[str, ...] = ()  # empty if images have captions
    label_of: tuple[int, ...] | None = None  # training class of each class of the shards; None if equal
    buffer: int = BUFFER  # samples among which the next is drawn; a reader holds them in memory, undecoded
    readers: int = 0  # processes that read and decode, each its own part; 0 reads in the training process
    max_pixels: int = MAX_PIXELS  # larger images are refused from their header
    given_names: tuple[str, ...] = ()  # class names of the shards, before `data.rename`

    def __len__(self) -> int:
        """Number of images."""
        return len(self.shards)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the source of the shards and of the number of samples in each."""
        about, counts = str(self.shards.about.get("fingerprint")), self.shards.counts.values()
        return fingerprint(about, torch.tensor(list(counts)), *self.classnames)

    @property
    def most_captions(self) -> int:
        """The largest number of captions of an image; 1 if images have classes."""
        return int(self.shards.about.get("most_captions", 1))

    def where(self, index: int) -> str:
        """The name of a training sample in messages: its shard and its place there, counted from 0.

        `index` is the image's number times `most_captions`, plus the caption's.
        """
        number = index // self.most_captions
        starts = [0, *itertools.accumulate(self.shards.counts.values())]
        shard = bisect.bisect_right(starts, number) - 1
        return f"{self.shards.paths[shard]} sample {number - starts[shard]}"

    def first_captions(self, images: int = 1_000) -> tuple[str, ...]:
        """The captions of the first images, as a sample of all."""
        wanted = [Segment(0, 0, min(images, next(iter(self.shards.counts.values()))))]
        return tuple(caption for sample in read(self.shards, wanted) for caption in sample.captions)


def check_places(stream: ShardStream, *, per_step: int, world_size: int) -> None:
    """Raises ConfigError if processes cannot share the shards, or steps of `per_step` samples over all processes."""
    shards, readers, folder = len(stream.shards.counts), stream.readers, stream.shards.folder
    needed = world_size * max(readers, 1)
    if shards < needed:
        each = f" with {readers} readers each" if readers else ""
        processes = f"{world_size} process" + ("" if world_size == 1 else "es")
        raise ConfigError(
            f"a stream needs a shard for each that reads, {needed} for {processes}{each}. '{folder}' has {shards}. "
            "Start fewer, or write smaller shards: radapter shards DATA --out DIR --size 100MB."
        )
    if per_step % world_size:
        raise ConfigError(
            f"train.batch_size must give every process the same, a multiple of {world_size} images. Got {per_step}. "
            f"Use {-(-per_step // world_size) * world_size}, or another number of processes."
        )
    if len(stream) < world_size:
        raise ConfigError(
            f"a stream needs an image for each of {world_size} processes. '{folder}' has {len(stream)}. Start fewer."
        )


def open_labelled_stream(
    spec: Spec,
    *,
    classnames: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    name: str | None = None,
    reading: Reading = DEFAULT,
) -> ShardStream:
    """Opens shards of labelled images.

    Args:
        spec: {stream: FOLDER, buffer: samples, readers: processes}, or a `StreamSource`.
        classnames: Training classes; None takes those of the shards.
        rename: New names of classes, as in `data.rename`; names that the shards lack are ignored.
        name: The set's name in tables; None takes that of the folder.
        reading: Limits of images.

    Raises:
        ConfigError: A key or value of `spec` is unknown or out of range.
        DataError: The shards are damaged, incomplete or hold pairs, or a class that `classnames` lacks.
    """
    stream = _opened(spec, name, reading)
    own = stream.shards.about.get("classnames")
    if own is None:
        raise DataError(
            f"a stream of classification must hold labelled images. '{stream.shards.folder}' holds something else. "
            "Set task: retrieval if these are image-text pairs."
        )
    theirs = renamed(own, rename or {})
    refuse_duplicates(theirs, f"'{stream.name}', after data.rename,")
    ours = tuple(theirs if classnames is None else map(spoken, classnames))
    place = {name_key(each): number for number, each in enumerate(ours)}
    lacking = [repr(each) for each in theirs if name_key(each) not in place]
    if lacking:
        raise DataError(
            f"the classes of '{stream.name}' must be among the {len(ours)} training classes. {len(lacking)} are "
            f"not: {', '.join(lacking[:3])}. Complete data.classnames, or write the shards with a map of labels."
        )
    return replace(
        stream,
        classnames=ours,
        label_of=tuple(place[name_key(each)] for each in theirs),
        given_names=tuple(own),
    )


def open_pair_stream(
    spec: Spec, *, join: bool = True, name: str | None = None, reading: Reading = DEFAULT
) -> ShardStream:
    """Opens shards of captioned images; `join` must be the `join_captions` with which the shards were written.

    The other arguments are those of `open_labelled_stream`.

    Raises:
        ConfigError: A key or value of `spec` is unknown or out of range, or `join` differs.
        DataError: The shards are damaged, incomplete or hold labelled images.
    """
    stream = _opened(spec, name, reading)
    about, folder = stream.shards.about, stream.shards.folder
    if "join_captions" not in about:
        raise DataError(
            f"a stream of retrieval must hold image-text pairs. '{folder}' holds something else. Write it with "
            "'radapter shards DATA --task retrieval'."
        )
    if about["join_captions"] != join:
        raise ConfigError(
            f"data.join_captions must be what the shards were written with, {str(about['join_captions']).lower()}. "
            f"Got {str(join).lower()} for '{folder}'. Change it, or write the shards again."
        )
    return stream


def _opened(spec: Spec, name: str | None, reading: Reading) -> ShardStream:
    source: StreamSource = checked(spec, _ADAPTER)
    shards = read_shards(placed(source.stream))
    if not shards.is_complete:
        raise DataError(
            f"shards for training must be complete. '{shards.folder}' has {shards.items} of {shards.of} items. Run "
            "the same 'radapter shards' again to continue."
        )
    return ShardStream(
        name or shards.folder.name,
        shards,
        read_contents(shards.folder),
        buffer=source.buffer,
        readers=source.readers,
        max_pixels=reading.max_pixels,
    )
