"""The layouts of public data sets: name -> reader, its options, number of classes; and domain folders.

A new one is a reader and a line in LAYOUTS. docs/data.md draws the folders of each. PACS, VLCS, OfficeHome and
DomainNet have one folder for each domain, which holds one folder for each class:

    ROOT/<domain>/<class>/*.jpg
    ROOT/<domain>_train.txt, ROOT/<domain>_test.txt      DomainNet's splits: "clipart/dog/clipart_085_1.jpg 85"
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, model_validator

from radapter.data.images.image_files import places_inside
from radapter.data.labelled.class_folders import files_source, folders_in, list_class_folders, refuse_absent
from radapter.data.labelled.imagenet import (
    read_imagenet,
    read_imagenet_c,
    read_imagenet_v2,
    read_objectnet,
    read_wnid_folders,
)
from radapter.data.labelled.source import LabelledImages, LabelledSource
from radapter.data.paths import PATH, place
from radapter.data.source import Reading, among
from radapter.data.wording import read_or_refuse
from radapter.errors import ConfigError, DataError
from radapter.given_files import read_text
from radapter.zeroshot import spoken


class Layout(NamedTuple):
    """One layout: its reader, the number of classes if that is fixed, and the reader's options.

    `shifted` marks a shifted test set of another data set, never for training.
    """

    read: Callable[..., LabelledImages]
    classes: int | None
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    shifted: bool = False


def read_domains(
    path: Path,
    *,
    domain: str | None = None,
    leave_out: str | Sequence[str] | None = None,
    split: str | None = None,
    reading: Reading,
) -> LabelledImages:
    """Reads the domain folders in `path`; the domains are the groups of the set.

    Reads one `domain`, all, or all but `leave_out` (leave-one-domain-out: train on the others, test on it). `split`
    is DomainNet's train or test.
    Raises ConfigError if a domain does not exist or none remains, and DataError for a wrong folder or list.
    """
    chosen = _chosen(path, domain, leave_out)
    if split is None:
        return _joined(path, {name: list_class_folders(path / name) for name in chosen}, reading=reading)
    return _joined(path, {name: _listed(path, f"{name}_{split}.txt") for name in chosen}, reading=reading)


_DOMAINS = ("domain", "leave_out")
_SOME_CLASSES = functools.partial(read_wnid_folders, only_these=True)

LAYOUTS: dict[str, Layout] = {
    "imagenet": Layout(read_imagenet, 1000, ("split", "wnids")),
    "imagenet-v2": Layout(read_imagenet_v2, 1000, ("wnids",), shifted=True),
    "imagenet-r": Layout(_SOME_CLASSES, 200, ("wnids",), shifted=True),
    "imagenet-a": Layout(_SOME_CLASSES, 200, ("wnids",), shifted=True),
    "imagenet-sketch": Layout(read_wnid_folders, 1000, ("wnids",), shifted=True),
    "imagenet-c": Layout(
        read_imagenet_c, 1000, ("corruption", "severity", "wnids"), ("corruption", "severity"), shifted=True
    ),
    "objectnet": Layout(read_objectnet, 113, ("wnids",), shifted=True),
    "pacs": Layout(read_domains, 7, _DOMAINS),
    "vlcs": Layout(read_domains, 5, _DOMAINS),
    "office-home": Layout(read_domains, 65, _DOMAINS),
    "domainnet": Layout(read_domains, 345, (*_DOMAINS, "split")),
    "domains": Layout(read_domains, None, _DOMAINS),
}
_OPTIONS = dict.fromkeys(option for layout in LAYOUTS.values() for option in layout.options)


class LayoutSource(LabelledSource):
    """A public data set as its authors released it.

    docs/data.md draws the folders and lists the options of each layout. `radapter data check PATH --layout NAME`
    prints what the folder holds.
    """

    layout: Annotated[str, among(LAYOUTS)] = Field(
        description=f"{', '.join(list(LAYOUTS)[:-1])} or {list(LAYOUTS)[-1]}"
    )
    path: Annotated[str, PATH] = Field(description="its folder")
    split: str | None = Field(default=None, description="imagenet: train or val; domainnet: train or test")
    wnids: Annotated[str | None, PATH] = Field(
        default=None,
        description="imagenet, imagenet-* and objectnet: a file of WordNet ids; null is ImageNet's 1,000",
    )
    corruption: str | None = Field(default=None, description="imagenet-c: which corruption")
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(
        default=None, description="imagenet-c: severity"
    )
    domain: str | None = Field(default=None, description="domain folders: the one to read; null is all")
    leave_out: str | list[str] | None = Field(
        default=None, description="domain folders: the domain, or list of domains, not to read"
    )

    def read(self, reading: Reading) -> LabelledImages:
        """Reads the data set; raises ConfigError and DataError as the layout's reader."""
        options = self._options()
        if self.wnids is not None:
            options["wnids"] = place(self.wnids)
        return LAYOUTS[self.layout].read(place(self.path), reading=reading, **options)

    def _options(self) -> dict[str, Any]:
        return {key: value for key in _OPTIONS if (value := getattr(self, key)) is not None}

    @model_validator(mode="after")
    def _takes_its_options(self) -> Self:
        layout = LAYOUTS[self.layout]
        for key in self._options():
            if key not in layout.options:
                raise ConfigError(
                    f"layout '{self.layout}' takes the options {', '.join(layout.options)}. Got {key!r}. Remove it."
                )
        for key in layout.required:
            if getattr(self, key) is None:
                raise ConfigError(f"layout '{self.layout}' needs {key}. Give it beside path.")
        return self


def _chosen(path: Path, domain: str | None, leave_out: str | Sequence[str] | None) -> list[str]:
    domains = folders_in(path)
    left_out = [leave_out] if isinstance(leave_out, str) else list(leave_out or ())
    if domain is not None and left_out:
        raise ConfigError(
            f"domain and leave_out exclude each other. Got {domain!r} and {left_out}. Give one."
        )
    for name in [*left_out, *([] if domain is None else [domain])]:
        refuse_absent("domain", name, path, domains)
    chosen = [name for name in domains if name not in left_out] if domain is None else [domain]
    if not chosen:
        raise ConfigError(f"a domain must be left. '{path}' holds {domains}, and {left_out} are left out.")
    return chosen


def _joined(
    path: Path, files: Mapping[str, Mapping[str, Sequence[str]]], *, reading: Reading
) -> LabelledImages:
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
