"""A CSV or TSV table with a caption a row; rows of one image are brought together."""

from pathlib import Path

from radapter.data.pairs.captioned import CaptionedSource, gathered
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import refuse_missing
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
        DataError: as `read_table`; a row names no image or one that is not there, or an image has two groups.
    """
    paths, captions, *groups = read_table(path, [image, caption, *([] if group is None else [group])])
    blank = [number for number, cell in enumerate(paths, start=1) if not cell.strip()]
    if blank:
        raise DataError(
            f"every row must name an image. In '{path}' {len(blank)} of {len(paths)} do not, first rows "
            f"{', '.join(map(str, blank[:3]))}. Fill column {image!r} or remove them."
        )
    rows = gathered(paths, [(text,) for text in captions], groups[0] if groups else None, origin=path.name)
    folder = path.parent / (images or "")
    files = [str(folder / name) for name in rows.images]
    refuse_missing(files, names=rows.images, origin=path, folder=folder)
    return CaptionedSource(path.stem, FilePictures(files, max_pixels=max_pixels), rows.captions, rows.groups)
