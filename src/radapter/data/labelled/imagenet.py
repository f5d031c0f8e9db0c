"""ImageNet and the test sets that share its classes and its WordNet ids.

imagenet          train/ and val/, each of folders such as n01443537; or the path of one of the two
imagenet-v2       folders 0 to 999, the class numbers
imagenet-r, -a    200 folders of ids: evaluation chooses among these 200 classes
imagenet-sketch   1,000 folders of ids
imagenet-c        CORRUPTION/SEVERITY/ID
"""

from pathlib import Path

from radapter.data.labelled.class_folders import files_source, first_few, folders_in, list_class_folders
from radapter.data.labelled.imagenet_classes import imagenet_classes, named_classes, notes_on_names
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.source import Reading
from radapter.errors import ConfigError, DataError, did_you_mean

SPLITS = ("train", "val")


def read_imagenet(
    path: Path, *, split: str | None = None, wnids: Path | None = None, reading: Reading
) -> LabelledPictures:
    """ImageNet: the folder that holds train/ and val/, or one of these.

    Args:
        path: the folder.
        split: train or val, where the folder holds them.
        wnids: see `imagenet_classes`.
        reading: limits of images.

    Raises:
        ConfigError: a split is needed and not given, or given and not there.
        DataError: a folder is missing, empty, or named otherwise than by a known id.
    """
    present = [name for name in folders_in(path) if name in SPLITS]
    if split is None and present:
        raise ConfigError(f"split must be one of {', '.join(present)}. '{path}' holds them. Give split.")
    if split is not None and split not in present:
        raise ConfigError(
            f"split must be a folder of '{path}', which holds {', '.join(present) or 'neither train nor val'}. Got "
            f"{split!r}.{did_you_mean(split, present)}"
        )
    return _of_ids(path if split is None else path / split, wnids=wnids, reading=reading)


def read_imagenet_sketch(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledPictures:
    """ImageNet-Sketch: folders of ids; the arguments are those of `read_imagenet`."""
    return _of_ids(path, wnids=wnids, reading=reading)


def read_imagenet_subset(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledPictures:
    """ImageNet-R and ImageNet-A: folders of ids; pictures show no class but those that have a folder."""
    return _of_ids(path, wnids=wnids, reading=reading, only_these=True)


def read_imagenet_c(
    path: Path,
    *,
    corruption: str,
    severity: int,
    wnids: Path | None = None,
    reading: Reading,
) -> LabelledPictures:
    """ImageNet-C: one corruption at one severity.

    Args:
        path: the folder that holds the corruptions.
        corruption: the name of its folder, such as gaussian_noise.
        severity: 1 to 5.
        wnids: see `imagenet_classes`.
        reading: limits of images.

    Raises:
        ConfigError: there is no such corruption or severity.
        DataError: as for `read_imagenet`.
    """
    for folder, key, value in (
        (path, "corruption", corruption),
        (path / corruption, "severity", str(severity)),
    ):
        present = folders_in(folder)
        if value not in present:
            raise ConfigError(
                f"{key} must be a folder of '{folder}', which holds {', '.join(present) or 'none'}. Got {value!r}."
                f"{did_you_mean(value, present)}"
            )
    return _of_ids(path / corruption / str(severity), wnids=wnids, reading=reading)


def read_imagenet_v2(path: Path, *, wnids: Path | None = None, reading: Reading) -> LabelledPictures:
    """ImageNetV2: folders named by class numbers.

    Args:
        path: the folder, such as imagenetv2-matched-frequency-format-val.
        wnids: see `imagenet_classes`.
        reading: limits of images.

    Raises:
        DataError: a folder is missing, empty, or named otherwise than by a class number.
    """
    files = list_class_folders(path)
    names = list(imagenet_classes(wnids).values())
    numbers = {name: int(name) for name in files if name.isdecimal() and int(name) < len(names)}
    strangers = [name for name in files if name not in numbers]
    if strangers:
        raise DataError(
            f"class folders must be named 0 to {len(names) - 1}, the class numbers. In '{path}' {len(strangers)} of "
            f"{len(files)} are not: {first_few(strangers)}. Give the folder that holds them."
        )
    in_order = sorted(files, key=numbers.__getitem__)
    classes = {names[numbers[folder]]: files[folder] for folder in in_order}
    return files_source(path.name, classes, reading=reading, notes=notes_on_names(classes, wnids))


def _of_ids(
    path: Path, *, wnids: Path | None, reading: Reading, only_these: bool = False
) -> LabelledPictures:
    files = named_classes(list_class_folders(path), path=path, wnids=wnids)
    candidates = dict.fromkeys(files, ()) if only_these else None
    return files_source(
        path.name,
        files,
        reading=reading,
        candidates=candidates,
        notes=notes_on_names(files, wnids),
    )
