"""One source as training, validation and test set: by the splits that it has, else by the contents of its images."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from radapter.data.labelled.class_folders import unlisted
from radapter.data.paths import expanded, place
from radapter.data.pictures.decoding import is_image_file
from radapter.data.text_tables import column_names, read_table
from radapter.errors import ConfigError
from radapter.given_files import read_json_file

CUTS = {"train": [0.0, 0.8], "id_val": [0.8, 0.9], "id_test": [0.9, 1.0]}
"""Set -> the part of a source without splits that it gets."""
_NAMES = {
    "train": ("train", "training"),
    "id_val": ("val", "valid", "validation", "dev"),
    "id_test": ("test", "testing"),
}
_WITHOUT = {"id_val": [0.9, 1.0], "id_test": [0.9, 1.0]}  # the part of training of a set that has no split
_SPLIT_FILES = ("coop", "karpathy")  # kinds whose file has the splits train, val and test
_SPLIT_COLUMN = "split"
_OF_TRAINING = ("shots", "shots_seed", "shots_scheme")


def divided(spec: Mapping[str, Any], *, labelled: bool = False) -> dict[str, dict[str, Any]]:
    """The sources of `train`, `id_val` and `id_test` that one source gives.

    Splits that the source has are used as they are. A set without one is cut from the training split by content, a
    tenth of it; a source without splits is cut into 80, 10 and 10 %. `shots` holds for `train` alone.

    Args:
        spec: a mapping as in run.yaml, without `part`.
        labelled: whether the images have class labels; see `splits_of`.
    """
    found = splits_of(spec, labelled=labelled)
    sets = {role: {**spec, "part": part} for role, part in CUTS.items()}
    if found:
        absent = [role for role in CUTS if role not in found]
        rest = {"part": [0.0, 0.9]} if absent else {}
        sets = {role: found.get(role, found["train"]) for role in CUTS}
        sets["train"] = {**found["train"], **rest}
        sets |= {role: {**found["train"], "part": _WITHOUT[role]} for role in absent}
    return {
        role: {key: value for key, value in of.items() if role == "train" or key not in _OF_TRAINING}
        for role, of in sets.items()
    }


def splits_of(spec: Mapping[str, Any], *, labelled: bool = False) -> dict[str, dict[str, Any]]:
    """The sources of the splits that a source has on disk, by set; empty where it has none or one was chosen.

    A folder has splits where it holds a training folder and a validation or test folder, each with class folders. So
    has a data set that `save_to_disk` wrote as a DatasetDict, and so have the split files of CoOp and of Karpathy. A
    table of labelled images has splits where a column "split" names them, unless `where` selects rows.

    Raises:
        ConfigError: the column holds names of splits and others.
        DataError: a folder or a table cannot be read.
    """
    if isinstance(spec.get("folder"), str):
        folder = spec["folder"]
        found = split_folders(Path(expanded(folder)))
        return {role: {**spec, "folder": str(Path(folder) / name)} for role, name in found.items()}
    if isinstance(spec.get("hub"), str) and "split" not in spec:
        names = _by_role(_saved_splits(Path(expanded(spec["hub"]))))
        return {role: {**spec, "split": name} for role, name in names.items()}
    if any(kind in spec for kind in _SPLIT_FILES) and "split" not in spec:
        splits = {"train": "train", "id_val": "val", "id_test": "test"}
        return {role: {**spec, "split": name} for role, name in splits.items()}
    if labelled and isinstance(spec.get("csv"), str) and "where" not in spec:
        return {role: {**spec, "where": where} for role, where in _rows_of_splits(place(spec["csv"])).items()}
    return {}


def siblings_of(folder: str) -> dict[str, str]:
    """Set -> folder of the splits that `folder` is one of; empty where it is none."""
    found = split_folders(Path(expanded(folder)).parent)
    inside = {role: str(Path(folder).parent / name) for role, name in found.items()}
    return inside if str(Path(folder)) in inside.values() else {}


def split_folders(folder: Path) -> dict[str, str]:
    """Set -> the folder in `folder` that holds its split; empty where these are no splits.

    A folder "train" among class folders is a class: without a validation or test folder beside it, and without
    class folders in it, it is no split.

    Raises:
        DataError: a folder cannot be listed.
    """
    if not folder.is_dir():
        return {}
    try:
        return _by_role(sorted(child.name for child in folder.iterdir() if _holds_folders(child)))
    except OSError as error:
        raise unlisted(error) from error


def _by_role(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, known in _NAMES.items():
        for name in names:
            if name.casefold() in known:
                found.setdefault(role, name)
    return found if "train" in found and len(found) > 1 else {}


def _rows_of_splits(table: Path) -> dict[str, dict[str, list[str]]]:
    """Set -> the rows of its split, as `where` selects them; empty where no column "split" names several splits.

    Raises:
        ConfigError: some of its values are names of splits and others are not, or none is that of training.
    """
    column = next((name for name in column_names(table) if name.casefold() == _SPLIT_COLUMN), None)
    cells = [] if column is None else sorted(set(read_table(table, [column])[0]))
    found = {
        role: [cell for cell in cells if cell.strip().casefold() in names] for role, names in _NAMES.items()
    }
    found = {role: named for role, named in found.items() if named}
    others = [cell for cell in cells if not any(cell in named for named in found.values())]
    if column is None or not found or (found.keys() == {"train"} and not others):
        return {}
    if others or "train" not in found:
        raise ConfigError(
            f"column {column!r} must hold train and val or test alone. '{table}' has "
            f"{', '.join(map(repr, cells[:5]))}. Give data.train, data.id_val and data.id_test "
            f"instead, each with where: {{{column}: VALUE}}."
        )
    return {role: {column: named} for role, named in found.items()}


def _holds_folders(folder: Path) -> bool:
    """Whether there are folders in it, and no images beside them."""
    if not folder.is_dir():
        return False
    children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    return any(child.is_dir() for child in children) and not any(
        child.is_file() and is_image_file(child) for child in children
    )


def _saved_splits(folder: Path) -> list[str]:
    """The splits of a DatasetDict that `save_to_disk` wrote."""
    try:
        return list(read_json_file(folder / "dataset_dict.json")["splits"])
    except (OSError, ValueError, KeyError, TypeError):
        return []  # another kind of folder, or a damaged one, which its reader reports
