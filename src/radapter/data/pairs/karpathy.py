"""Karpathy's split files, `dataset_coco.json`, `dataset_flickr30k.json` and `dataset_flickr8k.json`.

    {"images": [{"filepath": "val2014", "filename": "a.jpg", "split": "restval", "sentences": [{"raw": "..."}]}]}

`filepath`, COCO's alone, is a folder below the images'. COCO's `restval`, the validation images in neither val nor
test, joins train, as in the works that report on this split.

Source: Karpathy and Fei-Fei, "Deep visual-semantic alignments for generating image descriptions", CVPR 2015.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from radapter.data.pairs.captioned import CaptionedPictures
from radapter.data.pairs.source import PairSource
from radapter.data.paths import PATH, place
from radapter.data.pictures.image_files import files_inside
from radapter.data.pictures.pictures import FilePictures
from radapter.data.source import Reading
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_json_file

_JOINS = {"restval": "train"}


class KarpathySource(PairSource):
    """A split file of Karpathy and Fei-Fei (`dataset_coco.json`) and the folder of its images."""

    karpathy: Annotated[str, PATH] = Field(
        description="dataset_coco.json, dataset_flickr30k.json or dataset_flickr8k.json"
    )
    images: Annotated[str, PATH] = Field(description="the folder that its paths start at")
    split: Literal["train", "val", "test"] = Field(
        default="train", description="which of its splits; restval joins train"
    )

    def read(self, reading: Reading) -> CaptionedPictures:
        """The images of the split.

        Raises:
            ConfigError: the file has no such split.
            DataError: the file is missing or no such file, a path leaves `images`, or images are missing.
        """
        path = place(self.karpathy)
        entries = _entries(path)
        splits = list(dict.fromkeys(_JOINS.get(kind, kind) for _, kind, _ in entries))
        if self.split not in splits:
            raise ConfigError(
                f"split must be one of {', '.join(splits)}. '{path}' has no {self.split!r}."
                f"{did_you_mean(self.split, splits)}"
            )
        chosen = [(file, texts) for file, kind, texts in entries if _JOINS.get(kind, kind) == self.split]
        files = files_inside([file for file, _ in chosen], place(self.images), origin=path)
        return CaptionedPictures(
            f"{path.stem} {self.split}",
            FilePictures(files, max_pixels=reading.max_pixels),
            [texts for _, texts in chosen],
        )


def _entries(path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Path, split and captions of every image."""
    try:
        content = read_json_file(path)
    except (OSError, ValueError) as error:
        raise DataError(f"split file must be a JSON file. '{path}': {error}.") from error
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
            texts = tuple(raw for raw in map(_raw, sentences) if raw is not None)
            if isinstance(folder, str) and len(texts) == len(sentences):
                return (f"{folder}/{filename}" if folder else filename), split, texts
    raise DataError(
        f"every image must have filename, split and sentences with raw. Image {number} of '{path}' is "
        f"{str(image)[:80]}."
    )


def _raw(sentence: Any) -> str | None:
    match sentence:
        case {"raw": str(raw)}:
            return raw
    return None
