"""The caption files of COCO, Flickr30k and Flickr8k: Karpathy's split files, and token files with split lists.

    dataset_coco.json   {"images": [{"filepath": "val2014", "filename": "a.jpg", "split": "restval",
                        "sentences": [{"raw": "..."}]}]}
    name.token.txt      name.jpg#0<tab>caption; beside it Flickr_8k.trainImages.txt and others, a name per line

`filepath`, only in COCO's file, is a subfolder of the images' folder. COCO's `restval`, the validation images that
are in neither val nor test, joins train, as in the works that report on this split.

Source: Karpathy and Fei-Fei, "Deep visual-semantic alignments for generating image descriptions", CVPR 2015.
Source: Hodosh, Young and Hockenmaier, "Framing image description as a ranking task", JAIR 2013 (Flickr8k).
"""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from radapter.data.images.image_files import files_inside
from radapter.data.images.sequences import FileImages
from radapter.data.pairs.source import CaptionedImages, PairSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse, refuse_unknown, some
from radapter.errors import DataError
from radapter.given_files import read_json_file, read_text

# Flickr8k.token.txt has captions for it; it is neither among the images nor in the split lists
_ABSENT = "2258277193_586949ec62.jpg.1"
_JOINS = {"restval": "train"}
_log = logging.getLogger(__name__)


class KarpathySource(PairSource):
    """A split file of Karpathy and Fei-Fei (`dataset_coco.json`) and the folder of its images."""

    karpathy: Annotated[str, PATH] = Field(
        description="dataset_coco.json, dataset_flickr30k.json or dataset_flickr8k.json"
    )
    images: Annotated[str, PATH] = Field(description="the folder that its paths start at")
    split: Literal["train", "val", "test"] = Field(
        default="train", description="which of its splits; restval joins train"
    )

    def read(self, reading: Reading) -> CaptionedImages:
        """The images of the split; raises ConfigError without it, DataError if the file or an image is wrong."""
        path = place(self.karpathy)
        entries = _entries(path)
        refuse_unknown("split", self.split, list(dict.fromkeys(kind for _, kind, _ in entries)), f"'{path}'")
        chosen = [(file, texts) for file, kind, texts in entries if kind == self.split]
        files = files_inside([file for file, _ in chosen], place(self.images), origin=path)
        return CaptionedImages(
            f"{path.stem} {self.split}",
            FileImages(files, max_pixels=reading.max_pixels),
            [texts for _, texts in chosen],
        )


class Flickr8kSource(PairSource):
    """A token file, with `name.jpg#0`, a tab and a caption per line, and the folder of its images."""

    flickr8k: Annotated[str, PATH] = Field(description="Flickr8k.token.txt, or another file of its form")
    images: Annotated[str, PATH] = Field(description="the folder of the images")
    split_list: Annotated[str | None, PATH] = Field(
        default=None,
        description="a file with an image name per line, such as Flickr_8k.testImages.txt; null is all",
    )

    def read(self, reading: Reading) -> CaptionedImages:
        """The images of the token file, or those in the list; skips the one name of Flickr8k without an image."""
        path = source = place(self.flickr8k)
        captions = _captions(path)
        if captions.pop(_ABSENT, None):
            _log.info("skipped: '%s' captions %s, an image that Flickr8k does not have", path, _ABSENT)
        names = list(captions)
        if self.split_list is not None:
            source = place(self.split_list)
            names = list(dict.fromkeys(line.strip() for line in _lines(source)))
            unknown = [name for name in names if name not in captions]
            if unknown:
                raise DataError(
                    f"every image of split_list must have captions. '{path}' has none for {len(unknown)} of "
                    f"{len(names)} in '{source}': {some(unknown)}. Give the list and the token file of one data set."
                )
        files = files_inside(names, place(self.images), origin=source)
        images = FileImages(files, max_pixels=reading.max_pixels)
        return CaptionedImages(source.stem, images, [captions[name] for name in names])


def _entries(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Path, split and captions of every image."""
    content = read_or_refuse(read_json_file, path, "split file must be a JSON file")
    listed = content.get("images") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise DataError(
            f"split file must hold a list 'images'. '{path}' does not. Give one of Karpathy's dataset_*.json."
        )
    return [_entry(image, number, path) for number, image in enumerate(listed)]


def _entry(image: Any, number: int, path: Path) -> tuple[str, str, tuple[str, ...]]:
    match image:
        case {"filename": str(filename), "split": str(split), "sentences": [*sentences]} if filename:
            folder = image.get("filepath") or ""
            raws = [sentence.get("raw") if isinstance(sentence, dict) else None for sentence in sentences]
            texts = tuple(raw for raw in raws if isinstance(raw, str))
            if isinstance(folder, str) and len(texts) == len(sentences):
                return (f"{folder}/{filename}" if folder else filename), _JOINS.get(split, split), texts
    raise DataError(
        f"every image must have filename, split and sentences with raw. Image {number} of '{path}' is "
        f"{str(image)[:80]}."
    )


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


def _lines(path: Path) -> list[str]:
    lines = read_or_refuse(read_text, path, "file must be UTF-8 text").split("\n")
    kept = [line.rstrip("\r") for line in lines if line.strip()]
    if not kept:
        raise DataError(f"file must have a line. '{path}' is empty.")
    return kept
