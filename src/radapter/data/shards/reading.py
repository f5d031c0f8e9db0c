"""Reads the samples of shards sequentially through webdataset, and checks each shard before it is used."""

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, final

from radapter.data.shards.parts import IMAGES, content_key
from radapter.data.shards.plan import Segment
from radapter.data.shards.sizes import Shards, refuse_count
from radapter.data.shards.writing import require_webdataset
from radapter.errors import DataError
from radapter.given_files import parse_json

Description = tuple[int, int | None, tuple[str, ...]]
"""Label, group and captions of a sample."""
Described = Callable[[Mapping[str, bytes], Mapping[str, object]], Description]


@final
@dataclass(frozen=True)
class Streamed:
    """A sample as stored in a shard.

    Attributes:
        number: Its number among all samples of the folder, in the order of shard names.
        where: Its shard and key, for messages.
        image: Bytes of the image file.
        key: Content key, int64.
        label: Its class, or its target class.
        group: Group of a captioned image; None for a labelled one.
        captions: Captions of a captioned image.
    """

    number: int
    where: str
    image: bytes
    key: int
    label: int
    group: int | None = None
    captions: tuple[str, ...] = ()


def read(shards: Shards, wanted: Sequence[Segment]) -> Iterator[Streamed]:
    """The samples of some segments of complete shards, in order.

    Raises:
        DataError: A shard is damaged or has another number of samples than in sizes.json, or a sample is not as
            `radapter shards` writes it.
        MissingExtraError: webdataset is not installed.
    """
    require_webdataset()
    paths, first = shards.paths, [0, *accumulate(shards.counts.values())]
    described = _labelled if "classnames" in shards.about else _captioned
    for segment in wanted:
        path = paths[segment.shard]
        # webdataset reads a member of any size, and takes a link or a truncated tar for the end.
        refuse_count(shards, path)
        try:
            with path.open("rb") as file:
                found = enumerate(_grouped(str(path), file))
                for place, parts in islice(found, segment.start, segment.stop):
                    where = f"{path}::{parts['__key__']}"
                    yield _streamed(first[segment.shard] + place, where, parts, described)
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"shards must be readable. '{path}': {error}. Copy or write it again.") from error


def _grouped(url: str, file: object) -> Iterator[dict[str, Any]]:
    # Streams are opened here: webdataset's own opener runs names that begin with "pipe:" as commands.
    from webdataset import tariterators

    files = tariterators.tar_file_expander([{"url": url, "stream": file}])
    samples: Iterator[dict[str, Any]] = tariterators.group_by_keys(files)
    return samples


def _streamed(number: int, where: str, parts: Mapping[str, bytes], described: Described) -> Streamed:
    try:
        content = parse_json(parts["json"])
        image = next(parts[extension] for extension in IMAGES.values() if extension in parts)
        key = content_key(content)
        label, group, captions = described(parts, content)
        if key is None:
            raise ValueError("no content key")
    except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"a sample must be as 'radapter shards' writes it. '{where}' is not. Write the folder again."
        ) from error
    return Streamed(number, where, image, key, label, group, captions)


def _labelled(parts: Mapping[str, bytes], content: Mapping[str, object]) -> Description:
    return int(parts["cls"]), None, ()


def _captioned(parts: Mapping[str, bytes], content: Mapping[str, object]) -> Description:
    target, group, captions = content["target"], content["group"], content["captions"]
    if type(target) is not int or type(group) is not int or not isinstance(captions, list) or not captions:
        raise ValueError("no target, group or captions")
    if not all(isinstance(caption, str) and caption.strip() for caption in captions):
        raise ValueError("a caption is empty")
    return target, group, tuple(captions)
