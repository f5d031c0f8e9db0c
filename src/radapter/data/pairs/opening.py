"""Opening a set of image-text pairs from a specification: a path, or a mapping with the source and its options.

    path/to/file                                          a .csv, .tsv, .jsonl, .parquet or .tar file, a saved set,
                                                          or a folder of CLIP_benchmark
    {csv: PATH, image: COLUMN, caption: COLUMN, group: COLUMN, images: FOLDER}             also TSV
    {jsonl: PATH, image: KEY, captions: KEY, group: KEY, images: FOLDER}
    {parquet: PATH or list, image: COLUMN, captions: COLUMN, group: COLUMN}
    {hub: NAME or saved folder, split: test, config: ..., image: COLUMN, captions: COLUMN, group: COLUMN}
    {karpathy: dataset_coco.json, images: FOLDER, split: test}
    {flickr8k: Flickr8k.token.txt, images: FOLDER, split_list: Flickr_8k.testImages.txt}
    {clip_benchmark: FOLDER, split: test}
    {webdataset: PATH, pattern or list, captions: KEY, group: KEY}
    {world: scenes, seed: 0, size: 1000, styles: [photo, cartoon], wording: clean}
    {classification: SOURCE, templates: "a photo of a {}."}

Every mapping also takes
    captions_per_image: K   the first K captions of each image; null takes all
    part: [low, high)       the images whose content hash lies in that part of all; see splits.py
    split_seed: 0           another number splits otherwise
    paraphrase: false       true says every caption in other words; see paraphrase.py
    grayscale: false        true takes the colour out of every image
    corrupt: {type: fog, severity: 3, seed: 0}            one of the 15 of corruptions.py
"""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from radapter.data.pairs.captioned import CaptionedSource, rows_with_captions
from radapter.data.pairs.equivalence import LARGEST, target_classes, warn_if_large
from radapter.data.pairs.kinds import KINDS, kind_of, read_source
from radapter.data.pairs.pair_set import PairSet
from radapter.data.pairs.paraphrase import paraphrase
from radapter.data.pictures.bad_images import MAX_BAD
from radapter.data.pictures.corruptions import check_corruption, corrupted_pictures, greyed
from radapter.data.pictures.decoding import MAX_PIXELS, check_max_pixels
from radapter.data.specification import check_options, check_part, refuse_unreadable
from radapter.data.splits import Progress, content_keys, in_part
from radapter.errors import ConfigError, DataError

_COMMON: dict[str, Any] = {
    "captions_per_image": int,
    "part": Sequence,
    "split_seed": int,
    "paraphrase": bool,
    "grayscale": bool,
    "corrupt": Mapping,
}
_log = logging.getLogger(__name__)


def open_pairs(
    spec: str | Mapping[str, Any],
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bad: float = MAX_BAD,
    allow_download: bool = False,
    join: bool = True,
    largest: int = LARGEST,
    progress: Progress | None = None,
) -> PairSet:
    """Opens a set of image-text pairs; images are decoded later, one at a time.

    Args:
        spec: see this file's docstring. Environment variables and `~` in paths are expanded.
        name: what tables call the set; None takes the source's.
        max_pixels: larger images are refused from their header.
        max_bad: fraction of the images that may be unreadable, and that may lack a caption; both are skipped.
        allow_download: whether the hub may be asked.
        join: whether groups that share a caption are one target class; see equivalence.py.
        largest: images in one class above which joining is warned about.
        progress: told (done, all) while contents are hashed.

    Raises:
        ConfigError: a key or value of `spec` is unknown or out of range.
        DataError: the data are missing, empty or too corrupt, or too many captions are missing.
    """
    kind, options = _checked(spec)
    check_max_pixels(max_pixels)
    source = read_source(
        kind,
        options,
        max_pixels=max_pixels,
        max_bad=max_bad,
        allow_download=allow_download,
        progress=progress,
    )
    if len(source.pictures) == 0:
        raise DataError(f"data set must hold an image. '{source.name}' holds none.")
    name = source.name if name is None else name
    rows = rows_with_captions(source, max_bad=max_bad)
    keys = (
        content_keys(source.pictures, rows, progress=progress) if source.keys is None else source.keys[rows]
    )
    refuse_unreadable(source.pictures, rows, keys, name=name, max_bad=max_bad)
    if "part" in options:
        chosen = in_part(keys, *options["part"], split_seed=options.get("split_seed", 0))
        if not chosen.any():
            raise DataError(
                f"data set must hold an image. Of the {len(rows)} in '{name}' none is left after part."
            )
        rows, keys = rows[chosen], keys[chosen]
    pictures = greyed(source.pictures) if options.get("grayscale") else source.pictures
    if "corrupt" in options:
        pictures = corrupted_pictures(pictures, rows, keys, **options["corrupt"])
    captions, image_of_caption = _captions(source, rows, options)
    groups = _numbers(source.groups, rows)
    opened = PairSet(
        name,
        pictures,
        rows,
        keys,
        captions,
        image_of_caption,
        groups,
        target_classes(captions, image_of_caption, groups, join=join),
    )
    figures = opened.figures
    _log.info(
        "%s: %d images, %d captions, %d shared by several groups, %d target classes, the largest of %d images",
        name,
        figures.images,
        figures.captions,
        figures.shared_captions,
        figures.classes,
        figures.largest,
    )
    if join:
        warn_if_large(figures, name, limit=largest)
    return opened


def _checked(spec: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of a specification, and a mapping whose keys and types are known."""
    if isinstance(spec, str):
        kind = kind_of(spec)
        return kind, {kind: spec}
    options = {key: value for key, value in spec.items() if value is not None}  # null in YAML is the default
    kind = check_options(options, {k: {k: row.telling, **row.keys} for k, row in KINDS.items()}, _COMMON)
    check_part(options)
    for key in KINDS[kind].needs:
        if key not in options:
            raise ConfigError(f"a {kind} source needs {key}, the folder of its images. Give {key}.")
    if options.get("captions_per_image", 1) < 1:
        raise ConfigError(f"captions_per_image must be >= 1. Got {options['captions_per_image']}.")
    if "corrupt" in options:
        check_corruption(options["corrupt"])
    return kind, options


def _captions(
    source: CaptionedSource, rows: Tensor, options: Mapping[str, Any]
) -> tuple[tuple[str, ...], Tensor]:
    """The captions of the chosen pictures, in one line, and the image of each."""
    said = paraphrase if options.get("paraphrase") else str.strip
    kept = [
        [said(text) for text in source.captions[row] if text.strip()][: options.get("captions_per_image")]
        for row in rows.tolist()
    ]
    lengths = torch.tensor([len(of) for of in kept], dtype=torch.int64)
    return tuple(text for of in kept for text in of), torch.arange(len(kept)).repeat_interleave(lengths)


def _numbers(groups: Sequence[Hashable] | None, rows: Tensor) -> Tensor:
    """The group of each row, numbered in the order in which they first occur."""
    if groups is None:
        return torch.arange(len(rows))
    place: dict[Hashable, int] = {}
    return torch.tensor(
        [place.setdefault(groups[row], len(place)) for row in rows.tolist()], dtype=torch.int64
    )
