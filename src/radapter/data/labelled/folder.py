"""A folder with one folder of images for each class; the folder's name is the class name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from radapter.data.dividing import split_folders
from radapter.data.labelled.class_folders import files_source, folders_in, list_class_folders
from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import MAX_PIXELS
from radapter.errors import DataError


def read_folder(path: Path, *, listed: bool = False, max_pixels: int = MAX_PIXELS) -> Source:
    """Class folders, as `list_class_folders` finds them.

    Args:
        path: the folder that holds them.
        listed: whether the user listed the classes, so that folders named train and test, or folders that hold
            folders alone, are classes.
        max_pixels: larger images are refused from their header.

    Raises:
        DataError: the folder is missing, has no class folders, or class folders without images; or its folders are
            splits or hold folders alone, and `listed` is false.
    """
    if not listed:
        _refuse_splits(path)
    files = list_class_folders(path)
    if not listed:
        _refuse_nested(path, files)
    return files_source(path.name, files, max_pixels=max_pixels)


def _refuse_splits(path: Path) -> None:
    splits = split_folders(path)
    if splits:
        raise DataError(
            f"data folder must hold one folder for each class. '{path}' holds splits: {', '.join(splits.values())}. "
            f"Use all of them with one line in run.yaml, data: {{folder: {path}}}, or one, such as "
            f"{path / splits['train']}: 'radapter data check {path}' prints the lines. If these are classes, list "
            f"them beside the folder: classes: [{', '.join(folders_in(path))}]."
        )


def _refuse_nested(path: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError where every class folder has its images in folders of its own."""
    if any(Path(file).parent == path / name for name, found in files.items() for file in found):
        return
    (outer, found), names = next(iter(files.items())), list(files)
    inner = Path(found[0]).relative_to(path / outer).parts[0]
    other = f"{{layout: domains, path: {path}}}" if len(names) > 1 else f"{{folder: {path / outer}}}"
    raise DataError(
        f"class folders must hold images. In '{path}' no folder does; their images are one level deeper, such as "
        f"{outer}/{inner}. If {inner} is a class, use {other}. If {outer} is a class, list the classes beside the "
        f"folder: classes: [{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}]."
    )
