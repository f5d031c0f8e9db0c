"""Domain folders: one folder for each domain with one folder for each class. PACS, VLCS, OfficeHome and DomainNet.

    ROOT/<domain>/<class>/*.jpg
    ROOT/<domain>_train.txt, ROOT/<domain>_test.txt      DomainNet's splits: "clipart/dog/clipart_085_1.jpg 85"

The reader takes one domain, all, or all but some (leave-one-domain-out: train on the others, test on it). Domains
are the groups of the set.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from radapter.data.labelled.class_folders import files_source, folders_in, list_class_folders
from radapter.data.labelled.labels import LabelledPictures
from radapter.data.pictures.image_files import places_inside
from radapter.data.source import Reading
from radapter.data.wording import read_or_refuse
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text
from radapter.zeroshot import spoken


def read_domains(
    path: Path,
    *,
    domain: str | None = None,
    leave_out: str | Sequence[str] | None = None,
    split: str | None = None,
    reading: Reading,
) -> LabelledPictures:
    """Reads the domain folders in `path`.

    Args:
        path: the folder that holds the domains, and DomainNet's lists.
        domain: the only domain to read.
        leave_out: domains not to read.
        split: DomainNet's train or test, as <domain>_<split>.txt lists it; None reads all images.
        reading: limits of images.

    Raises:
        ConfigError: a domain does not exist, both options are given, or no domain is left.
        DataError: a folder or a list is missing or empty, or a line of it is not "path number".
    """
    chosen = _chosen(path, domain, leave_out)
    if split is None:
        return _joined(path, {name: list_class_folders(path / name) for name in chosen}, reading=reading)
    return _joined(path, {name: _listed(path, f"{name}_{split}.txt") for name in chosen}, reading=reading)


def _chosen(path: Path, domain: str | None, leave_out: str | Sequence[str] | None) -> list[str]:
    domains = folders_in(path)
    left_out = [leave_out] if isinstance(leave_out, str) else list(leave_out or ())
    if domain is not None and left_out:
        raise ConfigError(
            f"domain and leave_out exclude each other. Got {domain!r} and {left_out}. Give one."
        )
    for name in [*left_out, *([] if domain is None else [domain])]:
        if name not in domains:
            raise ConfigError(
                f"domain must be a folder of '{path}', which holds {', '.join(domains) or 'none'}. Got {name!r}."
                f"{did_you_mean(name, domains)}"
            )
    chosen = [name for name in domains if name not in left_out] if domain is None else [domain]
    if not chosen:
        raise ConfigError(f"a domain must be left. '{path}' holds {domains}, and {left_out} are left out.")
    return chosen


def _joined(
    path: Path, files: Mapping[str, Mapping[str, Sequence[str]]], *, reading: Reading
) -> LabelledPictures:
    """The domains as groups, with the images sorted by class."""
    classes = sorted({name for of_domain in files.values() for name in of_domain})
    by_class: dict[str, list[str]] = {}
    groups: list[str] = []
    spelling: dict[str, str] = {}  # domains may spell a class "Alarm_Clock" and "Alarm Clock"
    for folder in classes:
        found = by_class.setdefault(spelling.setdefault(spoken(folder), folder), [])
        for domain, of_domain in files.items():
            found += of_domain.get(folder, ())
            groups += [domain] * len(of_domain.get(folder, ()))
    name = next(iter(files)) if len(files) == 1 else path.name
    return files_source(name, by_class, reading=reading, groups=groups)


def _listed(path: Path, name: str) -> dict[str, list[str]]:
    """Class folder -> files, from a list of "domain/class/file number"."""
    requirement = "DomainNet's splits must be lists beside the folders"
    text = read_or_refuse(read_text, path / name, requirement, " Put it there, or leave split out.")
    files: dict[str, list[str]] = {}
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        file, _, label = line.strip().rpartition(" ")
        parts = file.split("/")
        if len(parts) < 3 or not label.isdecimal():
            raise DataError(
                f"every line must read 'domain/class/file number'. Line {number} of '{path / name}' is {line!r}."
            )
        files.setdefault(parts[1], []).append(file)
    if not files:
        raise DataError(f"a list must name an image. '{path / name}' names none.")
    return {of: places_inside(listed, path, origin=path / name) for of, listed in files.items()}
