"""Captioned parquet files, saved data sets and hub data sets: one image a row, with its caption or captions."""

from collections.abc import Sequence

from radapter.data.columns import ColumnTable, hub_table, parquet_table
from radapter.data.pairs.captioned import CaptionedSource, group_id, texts_of
from radapter.data.pictures.decoding import MAX_PIXELS


def read_pair_parquet(
    paths: Sequence[str],
    *,
    image: str = "image",
    captions: str = "captions",
    group: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CaptionedSource:
    """Parquet files with an image and a caption column.

    Args:
        paths: files, or patterns with `*`.
        image: column of images: bytes, paths, or the hub's image feature.
        captions: column of text, or of lists of text.
        group: column of group ids; None makes each row a group.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: there is no such column.
        DataError: a file is missing or damaged, or a column holds something else.
    """
    return _source(parquet_table(paths), image=image, captions=captions, group=group, max_pixels=max_pixels)


def read_pair_hub(
    name: str,
    *,
    split: str,
    config: str | None = None,
    image: str = "image",
    captions: str = "captions",
    group: str | None = None,
    max_pixels: int = MAX_PIXELS,
    allow_download: bool = False,
) -> CaptionedSource:
    """A folder written by `save_to_disk`, or a data set of the hub.

    Args:
        name: the folder, or the hub's id.
        split: which split.
        config: which configuration, where the hub has several.
        image: column of images.
        captions: column of text, or of lists of text.
        group: column of group ids; None makes each row a group.
        max_pixels: larger images are refused from their header.
        allow_download: whether the hub may be asked.

    Raises:
        ConfigError: there is no such split or column.
        DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
    """
    table = hub_table(name, split=split, config=config, allow_download=allow_download)
    return _source(table, image=image, captions=captions, group=group, max_pixels=max_pixels)


def _source(
    table: ColumnTable, *, image: str, captions: str, group: str | None, max_pixels: int
) -> CaptionedSource:
    table.require(image, captions, *([] if group is None else [group]))
    pictures = table.pictures(image, max_pixels=max_pixels)
    texts = [texts_of(value, pictures.where(row)) for row, value in enumerate(table.values(captions))]
    groups = None
    if group is not None:
        groups = [group_id(value, pictures.where(row)) for row, value in enumerate(table.values(group))]
    return CaptionedSource(table.name, pictures, texts, groups)
