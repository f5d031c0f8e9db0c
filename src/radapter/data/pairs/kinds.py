"""The kinds of source of image-text pairs: a row says what keys one takes and what reads it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, final

from radapter import zeroshot
from radapter.data.columns import is_saved
from radapter.data.labelled.opening import open_classification
from radapter.data.pairs.captioned import CaptionedSource
from radapter.data.pairs.classes import captions_of_classes
from radapter.data.pairs.columns import read_pair_hub, read_pair_parquet
from radapter.data.pairs.flickr8k import read_flickr8k
from radapter.data.pairs.karpathy import read_karpathy
from radapter.data.pairs.lines import read_pair_lines
from radapter.data.pairs.table import read_pair_table
from radapter.data.pairs.tars import read_clip_benchmark, read_webdataset
from radapter.data.pairs.world import read_pair_world
from radapter.data.specification import expanded
from radapter.errors import ConfigError

TEMPLATE = "a photo of a {}."
"""What a classification source's captions say where no template is given."""

_LISTED = (str, list, tuple)


def _place(path: str) -> Path:
    return Path(expanded(path))


@final
@dataclass(frozen=True)
class Kind:
    """One kind of source.

    Attributes:
        telling: the types of the value of its telling key, as `isinstance` takes them.
        read: gives the pairs, from that value, the keys and the limits.
        keys: the other keys and the types of their values.
        told: prepares the value for `read`.
        places: those of the keys that are paths, expanded for `read`.
        needs: those of the keys that must be there.
        limits: those arguments of `read_source` that `read` takes.
        suffixes: of files that are this kind where a path stands alone.
    """

    telling: Any
    read: Callable[..., CaptionedSource]
    keys: Mapping[str, Any] = field(default_factory=dict)
    told: Callable[[Any], Any] = _place
    places: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ("max_pixels",)
    suffixes: tuple[str, ...] = ()


def read_source(kind: str, options: Mapping[str, Any], **limits: Any) -> CaptionedSource:
    """Reads a source of a kind.

    Args:
        kind: in `KINDS`.
        options: the checked specification; keys that are not the kind's are left to others.
        limits: max_pixels, max_bad, allow_download and progress, as `open_pairs` takes them.

    Raises:
        InputError: what is named is missing, damaged, or not of this kind.
    """
    row = KINDS[kind]
    chosen = {key: options[key] for key in row.keys if key in options}
    chosen |= {key: _place(chosen[key]) for key in row.places if key in chosen}
    return row.read(row.told(options[kind]), **chosen, **{name: limits[name] for name in row.limits})


def kind_of(path: str) -> str:
    """The kind of a path that stands alone.

    Raises:
        ConfigError: nothing tells.
    """
    place = _place(path)
    if is_saved(place):
        return "hub"
    if next(place.glob("*/nshards.txt"), None) is not None:
        return "clip_benchmark"
    by_suffix = {suffix: kind for kind, row in KINDS.items() for suffix in row.suffixes}
    suffix = place.suffix.lower()
    if suffix not in by_suffix:
        raise ConfigError(
            f"a path to image-text pairs must end in {', '.join(by_suffix)}, or be a folder of save_to_disk or "
            f"CLIP_benchmark. Got '{path}'. Say what it is in a mapping, with one of the keys {', '.join(KINDS)}."
        )
    return by_suffix[suffix]


def _places(told: str | Sequence[str]) -> list[str]:
    return [expanded(path) for path in ([told] if isinstance(told, str) else told)]


def _as_it_is(told: Any) -> Any:
    return told


def _of_classes(
    spec: str | Mapping[str, Any], *, templates: str | Sequence[str] = TEMPLATE, **limits: Any
) -> CaptionedSource:
    return captions_of_classes(open_classification(spec, **limits), zeroshot.templates(templates))


KINDS: dict[str, Kind] = {
    "csv": Kind(
        str,
        read_pair_table,
        {"image": str, "caption": str, "group": str, "images": str},
        suffixes=(".csv", ".tsv", ".tab"),
    ),
    "jsonl": Kind(
        str,
        read_pair_lines,
        {"image": str, "captions": str, "group": str, "images": str},
        suffixes=(".jsonl", ".ndjson"),
    ),
    "parquet": Kind(
        _LISTED,
        read_pair_parquet,
        {"image": str, "captions": str, "group": str},
        told=_places,
        suffixes=(".parquet",),
    ),
    "hub": Kind(
        str,
        partial(read_pair_hub, split="train"),
        {"split": str, "config": str, "image": str, "captions": str, "group": str},
        told=expanded,
        limits=("max_pixels", "allow_download"),
    ),
    "karpathy": Kind(
        str, read_karpathy, {"images": str, "split": str}, places=("images",), needs=("images",)
    ),
    "flickr8k": Kind(
        str,
        read_flickr8k,
        {"images": str, "split_list": str},
        places=("images", "split_list"),
        needs=("images",),
    ),
    "clip_benchmark": Kind(str, read_clip_benchmark, {"split": str}),
    "webdataset": Kind(
        _LISTED, read_webdataset, {"captions": str, "group": str}, told=_places, suffixes=(".tar",)
    ),
    "world": Kind(
        str,
        read_pair_world,
        {"seed": int, "size": int, "styles": _LISTED, "wording": str},
        told=_as_it_is,
        limits=(),
    ),
    "classification": Kind(
        (str, Mapping),
        _of_classes,
        {"templates": _LISTED},
        told=_as_it_is,
        limits=("max_pixels", "max_bad", "allow_download", "progress"),
    ),
}
"""By the telling key; a new kind of source is a file that reads it and a row here."""
