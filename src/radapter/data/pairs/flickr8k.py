"""The token files of Flickr8k and Flickr30k, `name.jpg#0<tab>caption`, and the lists of their splits.

Source: Hodosh, Young and Hockenmaier, "Framing image description as a ranking task", JAIR 2013, which released
`Flickr8k.token.txt` and `Flickr_8k.trainImages.txt`, `.devImages.txt`, `.testImages.txt`.
"""

import logging
from pathlib import Path

from radapter.data.pairs.captioned import CaptionedSource
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.data.pictures.image_files import files_inside
from radapter.data.pictures.pictures import FilePictures
from radapter.errors import DataError
from radapter.given_files import read_text

_ABSENT = (
    "2258277193_586949ec62.jpg.1"  # Flickr8k.token.txt captions it; neither images nor split lists have it
)
_log = logging.getLogger(__name__)


def read_flickr8k(
    path: Path, *, images: Path, split_list: Path | None = None, max_pixels: int = MAX_PIXELS
) -> CaptionedSource:
    """A token file, or the images of it that a list names.

    Of the official file one name is skipped, which is that of no image.

    Args:
        path: the token file.
        images: the folder of the images.
        split_list: a file with an image name a line; None reads all.
        max_pixels: larger images are refused from their header.

    Raises:
        DataError: a file is missing, no such file or empty, the list names an image without captions, or images
            are missing.
    """
    captions = _captions(path)
    if captions.pop(_ABSENT, None):
        _log.info("skipped: '%s' captions %s, an image that Flickr8k does not have", path, _ABSENT)
    names = list(captions) if split_list is None else _listed(split_list, captions, path)
    files = files_inside(names, images, origin=path if split_list is None else split_list)
    source = path if split_list is None else split_list
    return CaptionedSource(
        source.stem, FilePictures(files, max_pixels=max_pixels), [captions[name] for name in names]
    )


def _captions(path: Path) -> dict[str, list[str]]:
    """Image name -> its captions in the order of their numbers."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for place, line in enumerate(_lines(path), start=1):
        token, tab, caption = line.partition("\t")
        name, hash_, number = token.rpartition("#")
        if not (tab and hash_ and name and number.isdecimal()):
            raise DataError(
                f"every line must be 'name.jpg#0', a tab and a caption. Line {place} of '{path}' is {line[:60]!r}."
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
