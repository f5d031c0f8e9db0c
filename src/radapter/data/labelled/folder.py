"""A folder with one folder of images for each class; the folder's name is the class name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from radapter.data.dividing import split_folders
from radapter.data.labelled.class_folders import files_source, folders_in, list_class_folders
from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading
from radapter.errors import DataError


class FolderSource(LabelledSource):
    """A folder with one folder of images for each class; the name of the folder is that of the class."""

    folder: Annotated[str, PATH] = Field(description="the folder")

    def read(self, reading: Reading) -> LabelledImages:
        """Lists the class folders; raises DataError also if they seem to be splits or domains."""
        path = place(self.folder)
        if self.classes is None:
            _refuse_splits(path)
        files = list_class_folders(path)
        if self.classes is None:
            _refuse_nested(path, files)
        return files_source(path.name, files, reading=reading)


def _refuse_splits(path: Path) -> None:
    splits = split_folders(path)
    if splits:
        tested = path / splits.get("id_test", splits["train"])
        raise DataError(
            f"data folder must hold one folder for each class. '{path}' holds splits: {', '.join(splits.values())}. "
            f"To train on all of them, write data: {{folder: {path}}} in run.yaml; 'radapter data check {path}' "
            f"prints the lines. To evaluate, give one of them, such as {tested}. If these "
            f"are classes, list them beside the folder: classes: [{', '.join(folders_in(path))}]."
        )


def _refuse_nested(path: Path, files: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError if all class folders have their images in subfolders."""
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
