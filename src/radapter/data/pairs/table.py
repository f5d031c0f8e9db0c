"""A CSV or TSV table with a caption a row; rows of one image are brought together."""

from collections.abc import Sequence
from pathlib import Path

from radapter.data.pairs.captioned import CaptionedSource, gathered
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_of_table, refuse_missing
from radapter.data.pictures.pictures import FilePictures
from radapter.data.text_tables import read_table
from radapter.errors import DataError


def read_pair_table(
    path: Path,
    *,
    image: str = "image",
    caption: str = "caption",
    group: str | None = None,
    images: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CaptionedSource:
    """A table of image paths and captions.

    Args:
        path: the table; TSV where its name ends in .tsv or .tab.
        image: column of paths.
        caption: column of captions.
        group: column of group ids; None makes the image the group.
        images: folder, seen from the table's, where relative paths start; None is the table's own.
        max_pixels: larger images are refused from their header.

    Raises:
        ConfigError: the table has no such column.
        DataError: as `read_table`; a row names no image, no group, or an image that is not there, or an image has
            two groups.
    """
    columns = [image, caption, *([] if group is None else [group])]
    paths, captions, *groups = read_table(path, columns, beside="caption")
    _refuse_blank(
        paths, f"every row must name an image. In '{path}'", f"Fill column {image!r} or remove them."
    )
    if groups:
        _refuse_blank(
            groups[0],
            f"every row must name a group. In '{path}'",
            f"Fill column {group!r}, or leave group out: the image is the group then.",
        )
    rows = gathered(paths, [(text,) for text in captions], groups[0] if groups else None, origin=path.name)
    folder = path.parent / (images or "")
    files = files_of_table(rows.images, folder, origin=path)
    refuse_missing(files, names=rows.images, origin=path, folder=folder)
    return CaptionedSource(path.stem, FilePictures(files, max_pixels=max_pixels), rows.captions, rows.groups)


def _refuse_blank(cells: Sequence[str], requirement: str, remedy: str) -> None:
    blank = [number for number, cell in enumerate(cells, start=1) if not cell.strip()]
    if blank:
        rows = ", ".join(map(str, blank[:3]))
        raise DataError(f"{requirement} {len(blank)} of {len(cells)} do not, first rows {rows}. {remedy}")
