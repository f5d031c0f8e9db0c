"""A folder with one folder of images for each class; the folder's name is the class name."""

from pathlib import Path

from radapter.data.labelled.class_folders import files_source, list_class_folders
from radapter.data.labelled.labels import Source
from radapter.data.pictures.decoding import MAX_PIXELS


def read_folder(path: Path, *, max_pixels: int = MAX_PIXELS) -> Source:
    """Class folders, as `list_class_folders` finds them.

    Raises:
        DataError: the folder is missing, has no class folders, or class folders without images.
    """
    return files_source(path.name, list_class_folders(path), max_pixels=max_pixels)
