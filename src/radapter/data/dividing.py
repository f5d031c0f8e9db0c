"""One source as training, validation and test set: by its splits if it has any, else by image contents."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from radapter.data.images.decoding import is_image_file
from radapter.data.paths import expanded, place
from radapter.data.text_tables import column_names, read_table
from radapter.data.wording import unlisted
from radapter.errors import ConfigError
from radapter.given_files import read_json_file

CUTS = {"train": [0.0, 0.8], "id_val": [0.8, 0.9], "id_test": [0.9, 1.0]}
"""Set -> its part of a source without splits."""
_NAMES = {
    "train": ("train", "training"),
    "id_val": ("val", "valid", "validation", "dev"),
    "id_test": ("test", "testing"),
}
_SPLIT_FILES = ("coop", "karpathy")  # kinds whose file has the splits train, val and test
_OF_TRAINING = ("shots", "shots_seed", "shots_scheme")


def divided(
    spec: Mapping[str, Any],
    *,
    labelled: bool = False,
    splits: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """The sources of `train`, `id_val` and `id_test` that one source (a mapping without `part`) gives.

    Existing splits (`splits`, by default `splits_of`) are used as they are. A set without a split is cut from the
    training split by content, a tenth of it; a source without splits is cut into 80, 10 and 10 %. `shots` applies to
    `train` only.
    """
    found = splits_of(spec, labelled=labelled) if splits is None else splits
    sets = {role: {**spec, "part": part} for role, part in CUTS.items()}
    if found:
        sets = {role: dict(found.get(role, {**found["train"], "part": [0.9, 1.0]})) for role in CUTS}
        if len(found) < len(CUTS):
            sets["train"]["part"] = [0.0, 0.9]
    return {
        role: {key: value for key, value in of.items() if role == "train" or key not in _OF_TRAINING}
        for role, of in sets.items()
    }


def splits_of(spec: Mapping[str, Any], *, labelled: bool = False) -> dict[str, dict[str, Any]]:
    """Set -> the source of its split; empty if the source has no splits on disk or one was chosen.

    These sources have splits:
    - a folder with a training and a validation or test folder, each with class folders;
    - a DatasetDict that `save_to_disk` wrote;
    - a split file of CoOp or Karpathy;
    - a table of labelled images with a column "split", unless `where` selects rows.
    Raises ConfigError if the column mixes names of splits with other values.
    """
    if isinstance(spec.get("folder"), str):
        folder = spec["folder"]
        found = split_folders(Path(expanded(folder)))
        return {role: {**spec, "folder": str(Path(folder) / name)} for role, name in found.items()}
    if isinstance(spec.get("hub"), str) and "split" not in spec:
        names = _by_role(_saved_splits(Path(expanded(spec["hub"]))))
        return {role: {**spec, "split": name} for role, name in names.items()}
    if any(kind in spec for kind in _SPLIT_FILES) and "split" not in spec:
        return {role: {**spec, "split": role.removeprefix("id_")} for role in CUTS}
    if labelled and isinstance(spec.get("csv"), str) and "where" not in spec:
        return {role: {**spec, "where": where} for role, where in _rows_of_splits(place(spec["csv"])).items()}
    return {}


def siblings_of(folder: str) -> dict[str, str]:
    """Set -> folder of the splits that `folder` belongs to; empty if it is no split."""
    found = split_folders(Path(expanded(folder)).parent)
    inside = {role: str(Path(folder).parent / name) for role, name in found.items()}
    return inside if str(Path(folder)) in inside.values() else {}


def split_folders(folder: Path) -> dict[str, str]:
    """Set -> the subfolder that holds its split; raises DataError if a folder cannot be listed.

    A folder "train" among class folders is a class: a split needs a validation or test folder beside it and class
    folders in it.
    """
    if not folder.is_dir():
        return {}
    try:
        return _by_role(sorted(child.name for child in folder.iterdir() if _holds_folders_alone(child)))
    except OSError as error:
        raise unlisted(error) from error


def _by_role(names: Iterable[str]) -> dict[str, str]:
    """Set -> the first of these names that its split may have; empty without training and another set."""
    found: dict[str, str] = {}
    for role, known in _NAMES.items():
        for name in names:
            if name.casefold() in known:
                found.setdefault(role, name)
    return found if "train" in found and len(found) > 1 else {}


def _rows_of_splits(table: Path) -> dict[str, dict[str, list[str]]]:
    """Set -> the `where` of its split; empty unless a column "split" names several splits."""
    column = next((name for name in column_names(table) if name.casefold() == "split"), None)
    if column is None:
        return {}
    cells = sorted(set(read_table(table, [column])[0]))
    role_of = {name: role for role, names in _NAMES.items() for name in names}
    found: dict[str, list[str]] = {}
    for cell in cells:
        found.setdefault(role_of.get(cell.strip().casefold(), ""), []).append(cell)
    if found.keys() <= {""} or found.keys() == {"train"}:
        return {}
    if "" in found or "train" not in found:
        raise ConfigError(
            f"column {column!r} must hold only train and val or test. '{table}' has "
            f"{', '.join(map(repr, cells[:5]))}. Give data.train, data.id_val and data.id_test "
            f"instead, each with where: {{{column}: VALUE}}."
        )
    return {role: {column: found[role]} for role in _NAMES if role in found}


def _holds_folders_alone(folder: Path) -> bool:
    """Whether a folder holds folders and no images beside them."""
    if not folder.is_dir():
        return False
    children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    return any(child.is_dir() for child in children) and not any(
        child.is_file() and is_image_file(child) for child in children
    )


def _saved_splits(folder: Path) -> list[str]:
    try:
        return list(read_json_file(folder / "dataset_dict.json")["splits"])
    except (OSError, ValueError, KeyError, TypeError):
        return []  # another kind of folder, or a damaged one, which its reader reports
