"""Labelled parquet files, saved data sets and hub data sets, through Hugging Face `datasets`.

Class names come from the label column where it has them (`ClassLabel`).
"""

from collections.abc import Sequence

from radapter.data.columns import ColumnTable, hub_table, parquet_table
from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.errors import DataError


def read_parquet(
    paths: Sequence[str], *, image: str = "image", label: str = "label", max_pixels: int = MAX_PIXELS
) -> Source:
    """Parquet files with an image and a label column.

    Args:
        paths: files, or patterns with `*`.
        image: column of images: bytes, paths, or the hub's image feature.
        label: column of class names or integers.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: there is no such column.
        DataError: a file is missing or damaged, or a column holds something else.
    """
    return _source(parquet_table(paths), image=image, label=label, max_pixels=max_pixels)


def read_hub(
    name: str,
    *,
    split: str,
    config: str | None = None,
    image: str = "image",
    label: str = "label",
    max_pixels: int = MAX_PIXELS,
    allow_download: bool = False,
) -> Source:
    """A folder written by `save_to_disk`, or a data set of the hub.

    Args:
        name: the folder, or the hub's id.
        split: which split.
        config: which configuration, where the hub has several.
        image: column of images.
        label: column of class names or integers.
        max_pixels: larger images are refused from their header.
        allow_download: whether the hub may be asked.

    Raises:
        ConfigError: there is no such split or column.
        DataError: the folder is no saved data set, or the hub is needed and not allowed, or fails.
    """
    table = hub_table(name, split=split, config=config, allow_download=allow_download)
    return _source(table, image=image, label=label, max_pixels=max_pixels)


def _source(table: ColumnTable, *, image: str, label: str, max_pixels: int) -> Source:
    import datasets

    table.require(image, label)
    pictures = table.pictures(image, max_pixels=max_pixels)
    kind = table.table.features[label]
    classnames = tuple(kind.names) if isinstance(kind, datasets.ClassLabel) else None
    if not str(getattr(kind, "dtype", "")).startswith(("int", "uint", "string", "large_string")):
        raise DataError(
            f"label column must hold class names or integers. '{label}' of '{table.name}' holds {kind}."
        )
    return Source(table.name, pictures, table.values(label), classnames)
