"""A CSV or TSV table with a caption a row; rows of one image are brought together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures, gathered
from radapter.data.pairs.source import PairSource
from radapter.data.paths import PATH, place
from radapter.data.pictures.image_files import files_of_table, refuse_missing
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.data.text_tables import SUFFIXES, read_table
from radapter.errors import DataError


class PairCsvSource(PairSource):
    """A table with a header line and a caption a row; `.tsv` and `.tab` are tab-separated.

    Rows of one image are brought together.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    csv: Annotated[str, PATH] = Field(description="the table; paths in it are relative to its folder")
    image: str = Field(default="image", description="column of image paths")
    caption: str = Field(default="caption", description="column of captions")
    group: str | None = Field(default=None, description="column of group ids; null makes the image the group")
    images: str | None = Field(
        default=None, description="folder, seen from the table's, where relative image paths start"
    )

    def listing(self) -> tuple[Path, Path]:
        """The folder where names of images start, and the file."""
        return place(self.csv).parent / (self.images or ""), place(self.csv)

    def read(self, reading: Reading) -> CaptionedPictures:
        """The rows of the table, those of one image together.

        Raises:
            ConfigError: the table has no such column.
            DataError: as `read_table`; a row names no image, no group, or an image that is not there, or an image
                has two groups.
        """
        path = place(self.csv)
        columns = [self.image, self.caption, *([] if self.group is None else [self.group])]
        paths, captions, *groups = read_table(path, columns, beside="caption")
        _refuse_blank(
            paths, f"every row must name an image. In '{path}'", f"Fill column {self.image!r} or remove them."
        )
        if groups:
            _refuse_blank(
                groups[0],
                f"every row must name a group. In '{path}'",
                f"Fill column {self.group!r}, or leave group out: the image is the group then.",
            )
        rows = gathered(
            paths, [(text,) for text in captions], groups[0] if groups else None, origin=path.name
        )
        folder = path.parent / (self.images or "")
        files = files_of_table(rows.images, folder, origin=path)
        refuse_missing(files, names=rows.images, origin=path, folder=folder)
        pictures = FilePictures(files, max_pixels=reading.max_pixels)
        return CaptionedPictures(path.stem, pictures, rows.captions, rows.groups)


def _refuse_blank(cells: Sequence[str], requirement: str, remedy: str) -> None:
    blank = [number for number, cell in enumerate(cells, start=1) if not cell.strip()]
    if blank:
        rows = ", ".join(map(str, blank[:3]))
        raise DataError(f"{requirement} {len(blank)} of {len(cells)} do not, first rows {rows}. {remedy}")
