"""Opening a set of masked pictures from a specification: a mapping with the source and its options.

    {masks: FOLDER, images: FOLDER, classes: LIST or FILE, ignore: 255, reduce_zero_label: false, exif: upright}
    {parquet: FILE, image: COLUMN, mask: COLUMN, classes: ..., ignore: ..., reduce_zero_label: ..., exif: ...}
    {layout: ade20k-150, path: FOLDER, split: val, classes: FILE}                       see layouts.py
    {world: SPLIT, seed: 0, size: 1000, styles: [photo, cartoon], background: true}

Every mapping also takes
    only: LIST            the pictures that show one of these classes and no other; see showing.py
    without: LIST         not the pictures that show one of these classes
    part: [low, high)     the pictures whose content hash lies in that part of all; see splits.py
    split_seed: 0         another number splits otherwise
    grayscale: false      true takes the colour out of every picture
    corrupt: {type: fog, severity: 3, seed: 0}            one of the 15 of corruptions.py; masks stay
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from radapter.data.labelled.labels import read_classnames
from radapter.data.masks.folders import read_mask_parquet
from radapter.data.masks.layouts import OPTIONS, read_layout
from radapter.data.masks.paired import PairedMaskDataset
from radapter.data.masks.showing import showing
from radapter.data.masks.world import read_masked_world
from radapter.data.pictures.bad_images import MAX_BAD
from radapter.data.pictures.corruptions import check_corruption, corrupted_pictures, greyed
from radapter.data.pictures.decoding import MAX_PIXELS, check_max_pixels
from radapter.data.specification import check_options, check_part, expanded, refuse_unreadable
from radapter.data.splits import Progress, in_part
from radapter.errors import ConfigError, DataError

_CLASSES = (str, list, tuple)
_MEANING = {"ignore": (int, list, tuple), "reduce_zero_label": bool, "exif": str}
KINDS: dict[str, dict[str, Any]] = {
    "masks": {"masks": str, "images": str, "classes": _CLASSES, **_MEANING},
    "parquet": {"parquet": str, "image": str, "mask": str, "classes": _CLASSES, **_MEANING},
    "layout": {"layout": str, "path": str, **dict.fromkeys(OPTIONS, str)},
    "world": {
        "world": str,
        "seed": int,
        "size": int,
        "styles": (str, list, tuple),
        "correlation": (int, float),
        "difficulty": (int, float),
        "background": bool,
    },
}
"""Telling key -> the keys that this kind of source takes, and their types."""
_COMMON: dict[str, Any] = {
    "only": (list, tuple),
    "without": (list, tuple),
    "part": Sequence,
    "split_seed": int,
    "grayscale": bool,
    "corrupt": Mapping,
}
_NEEDED = {"masks": ("images", "classes"), "parquet": ("classes",), "layout": ("path",)}


def open_masks(
    spec: Mapping[str, Any],
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bad: float = MAX_BAD,
    progress: Progress | None = None,
) -> PairedMaskDataset:
    """Opens a set of masked pictures; they are decoded later, one at a time.

    Args:
        spec: see this file's docstring. Environment variables and `~` in paths are expanded.
        name: what tables call the set; None takes the source's.
        max_pixels: larger pictures and masks are refused from their header.
        max_bad: fraction of the pictures that may be unreadable; what the disk alone tells is told here.
        progress: told (done, all) while contents are hashed.

    Raises:
        ConfigError: a key or value of `spec` is unknown, missing or out of range.
        DataError: the data are missing, empty or too corrupt, or images and masks do not pair.
    """
    options = {key: value for key, value in spec.items() if value is not None}  # null in YAML is the default
    kind = check_options(options, KINDS, _COMMON)
    check_part(options)
    for key in _NEEDED.get(kind, ()):
        if key not in options:
            raise ConfigError(f"a {kind} source needs {key}. Give {key}.")
    if "corrupt" in options:
        check_corruption(options["corrupt"])
    check_max_pixels(max_pixels)
    dataset = _read(kind, options, max_pixels=max_pixels)
    dataset.name = dataset.name if name is None else name
    keys = dataset.hashed(progress)
    refuse_unreadable(dataset.pictures, torch.arange(len(dataset)), keys, name=dataset.name, max_bad=max_bad)
    if "part" in options:
        chosen = in_part(keys, *options["part"], split_seed=options.get("split_seed", 0))
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(dataset)} in '{dataset.name}' none is left after part."
            )
        dataset = dataset.subset(chosen)
    if "only" in options or "without" in options:
        chosen = showing(dataset, only=options.get("only"), without=options.get("without", ()))
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(dataset)} in '{dataset.name}' none is left after only "
                "and without."
            )
        dataset = dataset.subset(chosen)
    if options.get("grayscale"):
        dataset = dataset.with_pictures(greyed(dataset.pictures))
    if "corrupt" in options:
        rows = torch.arange(len(dataset))
        dataset = dataset.with_pictures(
            corrupted_pictures(dataset.pictures, rows, dataset.keys, **options["corrupt"])
        )
    return dataset


def _read(kind: str, options: Mapping[str, Any], *, max_pixels: int) -> PairedMaskDataset:
    own = {key: options[key] for key in KINDS[kind] if key in options and key != kind}
    told = options[kind]
    if isinstance(own.get("classes"), str):
        own["classes"] = Path(expanded(own["classes"]))
    match kind:
        case "masks":
            images = expanded(own.pop("images"))
            return PairedMaskDataset(images, expanded(told), **own, max_pixels=max_pixels)
        case "parquet":
            own["classes"] = read_classnames(own["classes"])
            return read_mask_parquet(Path(expanded(told)), **own, max_pixels=max_pixels)
        case "layout":
            path = Path(expanded(own.pop("path")))
            return read_layout(told, path, own, max_pixels=max_pixels)
    return read_masked_world(told, **own)
