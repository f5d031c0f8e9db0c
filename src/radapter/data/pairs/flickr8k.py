"""The token files of Flickr8k and Flickr30k, `name.jpg#0<tab>caption`, and the lists of their splits.

Source: Hodosh, Young and Hockenmaier, "Framing image description as a ranking task", JAIR 2013, which released
`Flickr8k.token.txt` and `Flickr_8k.trainImages.txt`, `.devImages.txt`, `.testImages.txt`.
"""

import logging
from pathlib import Path
from typing import Annotated

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures
from radapter.data.pairs.source import PairSource
from radapter.data.paths import PATH, place
from radapter.data.pictures.image_files import files_inside
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.errors import DataError
from radapter.given_files import read_text

_ABSENT = (
    "2258277193_586949ec62.jpg.1"  # Flickr8k.token.txt captions it; neither images nor split lists have it
)
_log = logging.getLogger(__name__)


class Flickr8kSource(PairSource):
    """A token file, `name.jpg#0`, a tab and a caption a line, and the folder of its images."""

    flickr8k: Annotated[str, PATH] = Field(description="Flickr8k.token.txt, or another file of its form")
    images: Annotated[str, PATH] = Field(description="the folder of the images")
    split_list: Annotated[str | None, PATH] = Field(
        default=None,
        description="a file with an image name a line, such as Flickr_8k.testImages.txt; null is all",
    )

    def read(self, reading: Reading) -> CaptionedPictures:
        """The images of the token file, or those that the list names.

        One name of the official file is skipped: there is no such image.

        Raises:
            DataError: a file is missing, no such file or empty, the list names an image without captions, or images
                are missing.
        """
        path = place(self.flickr8k)
        split_list = None if self.split_list is None else place(self.split_list)
        captions = _captions(path)
        if captions.pop(_ABSENT, None):
            _log.info("skipped: '%s' captions %s, an image that Flickr8k does not have", path, _ABSENT)
        names = list(captions) if split_list is None else _listed(split_list, captions, path)
        source = path if split_list is None else split_list
        files = files_inside(names, place(self.images), origin=source)
        pictures = FilePictures(files, max_pixels=reading.max_pixels)
        return CaptionedPictures(source.stem, pictures, [captions[name] for name in names])


def _captions(path: Path) -> dict[str, list[str]]:
    """Image name -> its captions in the order of their numbers."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for row, line in enumerate(_lines(path), start=1):
        token, tab, caption = line.partition("\t")
        name, hash_, number = token.rpartition("#")
        if not (tab and hash_ and name and number.isdecimal()):
            raise DataError(
                f"every line must be 'name.jpg#0', a tab and a caption. Line {row} of '{path}' is {line[:60]!r}."
            )
        numbered.setdefault(name, []).append((int(number), caption))
    return {
        name: [caption for _, caption in sorted(of, key=lambda pair: pair[0])]
        for name, of in numbered.items()
    }


def _listed(split_list: Path, captions: dict[str, list[str]], path: Path) -> list[str]:
    names = list(dict.fromkeys(line.strip() for line in _lines(split_list)))
    unknown = [name for name in names if name not in captions]
    if unknown:
        raise DataError(
            f"every image of split_list must have captions. '{path}' has none for {len(unknown)} of {len(names)} in "
            f"'{split_list}': {', '.join(unknown[:3])}. Give the list and the token file of one data set."
        )
    return names


def _lines(path: Path) -> list[str]:
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"file must be UTF-8 text. '{path}': {error}.") from error
    kept = [line.rstrip("\r") for line in lines if line.strip()]
    if not kept:
        raise DataError(f"file must have a line. '{path}' is empty.")
    return kept
