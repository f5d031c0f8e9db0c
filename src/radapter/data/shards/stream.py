"""A folder of shards as something to train on: known by what sizes.json says, never listed."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, final

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from radapter.data.labelled.labels import refuse_duplicates, renamed
from radapter.data.paths import PATH
from radapter.data.paths import place as placed
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.shards.contents import read_contents
from radapter.data.shards.plan import Segment
from radapter.data.shards.reading import read
from radapter.data.shards.sizes import Shards, read_shards
from radapter.data.source import DEFAULT, Reading, Source, Spec, checked, source_type
from radapter.data.splits import fingerprint
from radapter.errors import ConfigError, DataError
from radapter.zeroshot import name_key, spoken

BUFFER = 2_000
"""Samples among which the next is drawn, unless something else is asked for."""


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
    """Labelled or captioned images that are read in sequence.

    Attributes:
        name: what tables and messages call it.
        shards: complete.
        keys: (K,), int64, sorted: the content keys of all images, memory-mapped; for the leak guard.
        classnames: C names; none where images have captions.
        given_names: the class names of the shards, before `data.rename` is applied.
        label_of: the training class of each class of the shards, where the two lists differ; None where labels are
            taken as they are.
        buffer: samples among which the next is drawn; what a reader holds in memory, undecoded.
        readers: processes that read and decode, each its own part; 0 reads in the training process.
        max_pixels: larger images are refused from their header.
    """

    name: str
    shards: Shards
    keys: Tensor
    classnames: tuple[str, ...] = ()
    label_of: tuple[int, ...] | None = None
    buffer: int = BUFFER
    readers: int = 0
    max_pixels: int = MAX_PIXELS
    given_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Images."""
        return len(self.shards)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the shards were written from, and of how it is parted among them."""
        about, counts = str(self.shards.about.get("fingerprint")), self.shards.counts.values()
        return fingerprint(about, torch.tensor(list(counts)), *self.classnames)

    @property
    def most_captions(self) -> int:
        """Captions of the image that has most; 1 where images have classes."""
        return int(self.shards.about.get("most_captions", 1))

    def where(self, index: int) -> str:
        """What messages call a training sample: its shard and its place there, counted from 0.

        Args:
            index: the image's number times `most_captions`, plus the caption's.
        """
        number = index // self.most_captions
        starts = [0, *itertools.accumulate(self.shards.counts.values())]
        shard = bisect.bisect_right(starts, number) - 1
        return f"{self.shards.paths[shard]} sample {number - starts[shard]}"

    def first_captions(self, images: int = 1_000) -> tuple[str, ...]:
        """The captions of the first images: a sample of all, which is never in memory."""
        wanted = [Segment(0, 0, min(images, next(iter(self.shards.counts.values()))))]
        return tuple(caption for sample in read(self.shards, wanted) for caption in sample.captions)


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
        classnames: the training classes; None takes those of the shards.
        rename: class name to another one, as `data.rename`; names that the shards lack are ignored.
        name: what tables call it; None takes the folder's.
        reading: limits of images.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range.
        DataError: the shards are not whole, not as sizes.json says, hold pairs, or a class that `classnames` lacks.
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
    """Opens shards of captioned images; the arguments are `open_labelled_stream`'s.

    Args:
        spec: as there.
        join: whether images that share a caption shall be one target class; it was decided when the shards were
            written.
        name, reading: as there.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range, or the shards were written with another
            `join`.
        DataError: the shards are not whole, not as sizes.json says, or hold labelled images.
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
            f"shards that are trained on must be complete. '{shards.folder}' has {shards.items} of {shards.of} "
            "items. Start 'radapter shards' again: it goes on where it stopped."
        )
    return ShardStream(
        name or shards.folder.name,
        shards,
        read_contents(shards.folder),
        buffer=source.buffer,
        readers=source.readers,
        max_pixels=reading.max_pixels,
    )
