"""The split files of CoOp, `split_zhou_*.json`: the images of train, val and test with their classes.

    {"train": [["dog/1.jpg", 0, "dog"], ...], "val": [...], "test": [...]}

Source: Zhou et al., "Learning to prompt for vision-language models", IJCV 2022, which released them.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from radapter.data.images.image_files import files_inside
from radapter.data.images.sequences import FileImages
from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse, refuse_unknown, some
from radapter.errors import ConfigError, DataError
from radapter.given_files import read_json_file
from radapter.zeroshot import spoken

Entry = tuple[str, int, str]  # path, label, class name


class CoopSource(LabelledSource):
    """A split file of CoOp (`split_zhou_*.json`) and the folder of its images."""

    draws_as_coop: ClassVar[bool] = True

    coop: Annotated[str, PATH] = Field(description="the split_zhou JSON file")
    images: Annotated[str, PATH] = Field(description="the folder that its paths start at")
    split: Literal["train", "val", "test"] = Field(default="train", description="which of its splits")

    def read(self, reading: Reading) -> LabelledImages:
        """The images of the split; the class list is that of all splits, in the order of the labels."""
        path = place(self.coop)
        splits = _entries(path)
        refuse_unknown("split", self.split, splits, f"'{path}'")
        classnames = _classnames([entry for entries in splits.values() for entry in entries], path)
        files = files_inside([file for file, _, _ in splits[self.split]], place(self.images), origin=path)
        return LabelledImages(
            path.stem,
            FileImages(files, max_pixels=reading.max_pixels),
            [classnames[label] for _, label, _ in splits[self.split]],
            tuple(classnames.values()),
            None,
        )

    def coop_rows(self) -> list[int]:
        """The rows of the split that CoOp draws for few-shot training.

        CoOp seeds Python's generator, then draws `shots` images of each class of train, then min(shots, 4) of each
        class of val, in the order of the file. A class with fewer images gives all. All classes are drawn before a
        half of them is kept. CoOp reads a cached draw, `split_fewshot/shot_16-seed_1.pkl`, if there is one. radapter
        reads no pickles and draws again.

        Source: KaiyangZhou/Dassl.pytorch, `DatasetBase.generate_fewshot_dataset`, c61a1b5; KaiyangZhou/CoOp,
        `train.py` and `datasets/oxford_pets.py`, ff61507.
        Raises ConfigError if CoOp does not draw from the split, or the file lacks it or train.
        """
        path = place(self.coop)
        splits = _entries(path)
        if self.split == "test":
            raise ConfigError(
                "shots_scheme: coop draws from train and val. Got split: test, which CoOp uses whole. Remove shots."
            )
        absent = {"train", self.split} - splits.keys()
        if absent:
            raise ConfigError(
                f"shots_scheme: coop needs the split {min(absent)}. '{path}' has {', '.join(splits)}."
            )
        assert self.shots is not None
        generator = random.Random(self.shots_seed)
        train = _drawn(splits["train"], self.shots, generator)
        return train if self.split == "train" else _drawn(splits["val"], min(self.shots, 4), generator)


def _drawn(entries: Sequence[Entry], shots: int, generator: random.Random) -> list[int]:
    rows: dict[int, list[int]] = {}
    for row, (_, label, _) in enumerate(entries):
        rows.setdefault(label, []).append(row)
    drawn = [generator.sample(of, shots) if len(of) >= shots else of for of in rows.values()]
    return [row for of_class in drawn for row in of_class]


def _entries(path: Path) -> dict[str, list[Entry]]:
    content = read_or_refuse(read_json_file, path, "split file must be a JSON file")
    if not content or not isinstance(content, dict) or not all(isinstance(r, list) for r in content.values()):
        raise DataError(
            f"split file must map train, val and test to lists. '{path}' holds {str(content)[:60]!r}."
        )
    return {split: [_entry(row, path) for row in rows] for split, rows in content.items()}


def _entry(row: Any, path: Path) -> Entry:
    match row:
        case [str(file), int(label), str(name)] if file and name and not isinstance(label, bool):
            return file, label, name
    raise DataError(f"every entry must be [path, label, class name]. '{path}' has {str(row)[:80]}.")


def _classnames(entries: Sequence[Entry], path: Path) -> dict[int, str]:
    """Label -> name, in the order of the labels; raises DataError unless the map is one to one."""
    spelling: dict[str, str] = {}
    for _, _, name in entries:
        spelling.setdefault(spoken(name), name)
    pairs = sorted({(label, spelling[spoken(name)]) for _, label, name in entries})
    names, labels = dict(pairs), {name: label for label, name in pairs}
    torn = [f"{label} is {name!r}" for label, name in pairs if (names[label], labels[name]) != (name, label)]
    if torn:
        raise DataError(
            f"every label must have one class name, and every name one label. In '{path}' {len(torn)} also read "
            f"otherwise: {some(torn)}. Correct the file."
        )
    return names
