"""Opening a data set from a specification: a path, or a mapping with the source and its options.

    path/to/folder                                        class folders, a saved set, a .parquet, .csv or .tsv file
    {folder: PATH}
    {csv: PATH, image: COLUMN, label: COLUMN}             also TSV; group, where and images as in table.py
    {parquet: PATH or list, image: COLUMN, label: COLUMN}
    {hub: NAME or saved folder, split: test, config: ..., image: COLUMN, label: COLUMN}
    {world: SPLIT, seed: 0, size: 1000, correlation: 0.8}
    {coop: split_zhou_NAME.json, images: FOLDER, split: test}
    {layout: imagenet-r, path: PATH}                      and the layout's options; see layouts.py
    {shards: FOLDER}                                      tar shards that `radapter shards` wrote

Every mapping also takes
    part: [low, high)     the pictures whose content hash lies in that part of all; see splits.py
    split_seed: 0         another number splits otherwise
    shots: K              K pictures of each class; fewer are always among more; see shots.py
    shots_seed: 0         another number draws others
    shots_scheme: content coop draws from a split file as CoOp does; see coop.py
    half: base            the first half of the class list; novel is the rest
    half_order: list      names halves the alphabetical list
    classes: [a, b]       the source's class list: names of integer labels, or the names that may occur
    labels: {a: b, c: ~}  source class to training class, many to one; null leaves a class out
    shared: false         true leaves out the classes that training lacks, which else are an error
    corrupt: {type: fog, severity: 3, seed: 0}            one of the 15 of corruptions.py
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from radapter.data.columns import is_saved
from radapter.data.labelled.classification import ClassificationSet
from radapter.data.labelled.coop import coop_shots, read_coop
from radapter.data.labelled.folder import read_folder
from radapter.data.labelled.huggingface import read_hub, read_parquet
from radapter.data.labelled.labels import Source, read_classnames, resolve
from radapter.data.labelled.layouts import OPTIONS, read_layout
from radapter.data.labelled.shards import read_labelled_shards
from radapter.data.labelled.shots import few_shots
from radapter.data.labelled.table import read_labelled_table
from radapter.data.labelled.world import read_world
from radapter.data.pictures.bad_images import MAX_BAD
from radapter.data.pictures.corruptions import check_corruption, corrupted_pictures
from radapter.data.pictures.decoding import MAX_PIXELS, check_max_pixels
from radapter.data.specification import check_options, check_part, check_seed, expanded, refuse_unreadable
from radapter.data.splits import Progress, content_keys, in_part
from radapter.errors import ConfigError, DataError, did_you_mean

_COLUMNS = {"image": str, "label": str}
_OWN: dict[str, dict[str, Any]] = {
    "folder": {},
    "csv": {**_COLUMNS, "group": (str, list, tuple), "where": Mapping, "images": str},
    "parquet": _COLUMNS,
    "hub": {"split": str, "config": str, **_COLUMNS},
    "world": {"seed": int, "size": int, "correlation": (int, float), "difficulty": (int, float)},
    "coop": {"images": str, "split": str},
    "layout": {"path": str, "severity": int, "leave_out": (str, list, tuple)}
    | {name: str for name in OPTIONS if name not in ("severity", "leave_out")},
    "shards": {},
}
_COMMON: dict[str, Any] = {
    "part": Sequence,
    "split_seed": int,
    "shots": int,
    "shots_seed": int,
    "shots_scheme": str,
    "half": str,
    "half_order": str,
    "classes": Sequence,
    "labels": Mapping,
    "shared": bool,
    "corrupt": Mapping,
}
_SCHEMES = ("content", "coop")
_KINDS = {kind: {kind: (str, list, tuple) if kind == "parquet" else str, **own} for kind, own in _OWN.items()}
_BY_SUFFIX = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".tab": "csv"}


def open_classification(
    spec: str | Mapping[str, Any],
    *,
    classnames: Sequence[str] | str | os.PathLike[str] | None = None,
    rename: Mapping[str, str] | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bad: float = MAX_BAD,
    allow_download: bool = False,
    progress: Progress | None = None,
) -> ClassificationSet:
    """Opens a labelled data set; pictures are decoded later, one at a time.

    Args:
        spec: see this file's docstring. Environment variables and `~` in paths are expanded.
        classnames: the training classes, a list or a text file; None takes the source's own.
        rename: class name to another one, as `data.rename`; names that the source lacks are ignored.
        name: what tables call the set; None takes the source's.
        max_pixels: larger images are refused from their header.
        max_bad: fraction of the pictures that may be unreadable; what the disk alone tells is told here.
        allow_download: whether the hub may be asked.
        progress: told (done, all) while contents are hashed.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range.
        DataError: the data are missing, empty, mislabelled or too corrupt, or `classnames` lacks a class.
    """
    options = _checked(spec)
    check_max_pixels(max_pixels)
    training = None if classnames is None else read_classnames(classnames)
    source = _read(options, max_pixels=max_pixels, allow_download=allow_download)
    name = source.name if name is None else name
    mapping = {str(theirs): _text(ours) for theirs, ours in options.get("labels", {}).items()}
    classes = read_classnames(options["classes"]) if "classes" in options else None
    resolved = resolve(
        source,
        classes=classes,
        mapping=mapping,
        classnames=training,
        rename=rename,
        half=options.get("half"),
        half_order=options.get("half_order", "list"),
        shared=options.get("shared", False),
    )
    keys = (
        content_keys(source.pictures, resolved.rows, progress=progress)
        if source.keys is None
        else source.keys[resolved.rows]
    )
    refuse_unreadable(source.pictures, resolved.rows, keys, name=name, max_bad=max_bad)
    chosen = torch.ones(len(keys), dtype=torch.bool)
    if "part" in options:
        chosen = in_part(keys, *options["part"], split_seed=options.get("split_seed", 0))
    if options.get("shots_scheme") == "coop":
        drawn = coop_shots(
            Path(expanded(options["coop"])),
            split=options.get("split", "train"),
            shots=options["shots"],
            seed=options.get("shots_seed", 0),
        )
        chosen = torch.isin(resolved.rows, torch.tensor(drawn))
    if not chosen.any():
        raise DataError(
            f"data set must hold a picture. Of the {len(source.pictures)} in '{name}' none is left after the "
            "label map, half and part."
        )
    rows = resolved.rows[chosen]
    groupnames = () if source.groups is None else tuple(sorted({source.groups[row] for row in rows.tolist()}))
    pictures = source.pictures
    if "corrupt" in options:
        pictures = corrupted_pictures(pictures, rows, keys[chosen], **options["corrupt"])
    opened = ClassificationSet(
        name,
        resolved.classnames,
        resolved.labels[chosen],
        keys[chosen],
        pictures,
        rows,
        resolved.candidates,
        _numbers(source.groups, rows, groupnames),
        groupnames,
        resolved.given,
        source.notes,
    )
    if "shots" not in options or options.get("shots_scheme") == "coop":
        return opened
    return opened.subset(
        few_shots(
            opened.keys,
            opened.labels,
            opened.classnames,
            shots=options["shots"],
            shots_seed=options.get("shots_seed", 0),
            name=name,
        )
    )


def kind_of(path: str) -> str:
    """The telling key that a plain path stands for: folder, csv, parquet or hub."""
    folder = Path(expanded(path))
    if is_saved(folder):
        return "hub"
    return _BY_SUFFIX.get(folder.suffix.lower(), "folder")


def _numbers(
    groups: Sequence[str] | None, rows: torch.Tensor, groupnames: tuple[str, ...]
) -> torch.Tensor | None:
    """The group of each row, as an index into `groupnames`."""
    if groups is None:
        return None
    number = {name: index for index, name in enumerate(groupnames)}
    return torch.tensor([number[groups[row]] for row in rows.tolist()], dtype=torch.int64)


def _checked(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """The specification as a mapping whose keys and types are known."""
    if isinstance(spec, str):
        return {kind_of(spec): spec}
    options = {key: value for key, value in spec.items() if value is not None}  # null in YAML is the default
    kind = check_options(options, _KINDS, _COMMON)
    check_part(options)
    check_seed(options, "shots_seed", "shots")
    check_seed(options, "shots_scheme", "shots")
    check_seed(options, "half_order", "half")
    _check_scheme(kind, options)
    if kind == "coop" and "images" not in options:
        raise ConfigError("a coop source needs images, the folder that its paths start at. Give images.")
    if "layout" in options and "path" not in options:
        raise ConfigError("a layout source needs path, its folder. Give path.")
    if "corrupt" in options:
        check_corruption(options["corrupt"])
    return options


def _check_scheme(kind: str, options: Mapping[str, Any]) -> None:
    scheme = options.get("shots_scheme", "content")
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"shots_scheme must be one of {', '.join(_SCHEMES)}. Got {scheme!r}.{did_you_mean(scheme, _SCHEMES)}"
        )
    if options.get("shots", 1) < 1:
        raise ConfigError(f"shots must be a whole number >= 1. Got {options['shots']}.")
    if scheme == "coop" and kind != "coop":
        raise ConfigError(
            f"shots_scheme: coop draws in the order of a split file of CoOp. Got a {kind} source. Give a coop "
            "source, or leave shots_scheme out."
        )
    if scheme == "coop" and "part" in options:
        raise ConfigError("shots_scheme: coop draws from the whole split. Got part too. Leave one out.")


def _read(options: Mapping[str, Any], *, max_pixels: int, allow_download: bool) -> Source:
    columns = {"image": options.get("image", "image"), "label": options.get("label", "label")}
    if "folder" in options:
        return read_folder(
            Path(expanded(options["folder"])), listed="classes" in options, max_pixels=max_pixels
        )
    if "csv" in options:
        return read_labelled_table(
            Path(expanded(options["csv"])),
            **columns,
            **{key: options[key] for key in ("group", "where", "images") if key in options},
            max_pixels=max_pixels,
        )
    if "parquet" in options:
        paths = [options["parquet"]] if isinstance(options["parquet"], str) else options["parquet"]
        return read_parquet([expanded(path) for path in paths], **columns, max_pixels=max_pixels)
    if "hub" in options:
        return read_hub(
            expanded(options["hub"]),
            split=options.get("split", "train"),
            config=options.get("config"),
            **columns,
            max_pixels=max_pixels,
            allow_download=allow_download,
        )
    if "coop" in options:
        return read_coop(
            Path(expanded(options["coop"])),
            images=Path(expanded(options["images"])),
            split=options.get("split", "train"),
            max_pixels=max_pixels,
        )
    if "layout" in options:
        chosen = {key: options[key] for key in OPTIONS if key in options}
        if "wnids" in chosen:
            chosen["wnids"] = Path(expanded(chosen["wnids"]))
        return read_layout(options["layout"], Path(expanded(options["path"])), chosen, max_pixels=max_pixels)
    if "shards" in options:
        return read_labelled_shards(Path(expanded(options["shards"])), max_pixels=max_pixels)
    return read_world(options["world"], **{key: options[key] for key in _OWN["world"] if key in options})


def _text(value: object) -> str | None:
    return None if value is None else str(value)
