"""How `segment` and `mine` read options: classes, weights and region proposers."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from radapter import segmentation
from radapter.errors import ConfigError, DataError, did_you_mean
from radapter.given_files import read_text
from radapter.zeroshot import check_classnames

_PROPOSERS = ("felzenszwalb", "transformers:FOLDER")


def read_classes(text: str) -> list[str]:
    """Reads --classes. Raises InputError if there are fewer than two, or a name is empty or repeated."""
    # A Path raises where a list of names is longer than the name of a file may be.
    if os.path.isfile(text):  # noqa: PTH113
        try:
            lines = read_text(text).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--classes must be names or a UTF-8 text file. '{text}': {error}.") from error
        names = [", ".join(segmentation.names_of(line.strip())) for line in lines if line.strip()]
    else:
        names = _listed(text)
    check_classnames(names)
    if len(names) < 2:
        raise ConfigError(
            f"--classes must hold two or more. Got only '{names[0]}', which every region would be. Add what else "
            "there may be, such as 'background'."
        )
    return names


def read_seen(text: str | None, ensemble: segmentation.Ensemble, classnames: Sequence[str]) -> Tensor | None:
    """Reads --seen: (C,), bool, all True for None; None for an ensemble that does not use it."""
    if ensemble not in ("zsseg", "fcclip"):
        if text is not None:
            raise ConfigError(
                f"--seen is for the ensembles zsseg and fcclip. Got it with '{ensemble}'. Leave it out."
            )
        return None
    named = classnames if text is None else _listed(text)
    for name in named:
        if name not in classnames:
            raise ConfigError(
                f"--seen must hold classes of --classes. Got '{name}'.{did_you_mean(name, classnames)}"
            )
    return torch.tensor([name in named for name in classnames])


def read_weights(text: str | None) -> float | tuple[float, float] | None:
    """Reads --weight: one number, or two separated by a comma. Raises ConfigError for anything else."""
    if text is None:
        return None
    try:
        match [float(part) for part in text.split(",")]:
            case [weight]:
                return weight
            case [seen, unseen]:
                return seen, unseen
    except ValueError:
        pass
    raise ConfigError(
        f"--weight must be a number, or two separated by a comma. Got '{text}'. Use 0.7 or 0.4,0.8."
    )


def find_proposer(
    spec: str, classnames: Sequence[str] | None = None, *, known: Sequence[str] = _PROPOSERS
) -> segmentation.MaskProposer:
    """Reads --proposer; with `classnames`, the proposer scores them. Raises InputError if there is no such one."""
    scheme, _, folder = spec.partition(":")
    if scheme == "transformers" and folder:
        return segmentation.TransformersProposer.from_folder(Path(folder), classnames=classnames)
    if spec == "felzenszwalb":
        return segmentation.FelzenszwalbProposer()
    raise ConfigError(
        f"--proposer must be one of {', '.join(known)}. Got '{spec}'.{did_you_mean(spec, known)}"
    )


def proposer_of_images(
    spec: str, classnames: Sequence[str] | None, *, tile: int | None
) -> Callable[[Path], segmentation.MaskProposer]:
    """Reads --proposer of `segment`: gives a proposer for an image's name. Raises InputError as `find_proposer`."""
    scheme, _, folder = spec.partition(":")
    if classnames is not None and scheme in ("felzenszwalb", "files"):
        raise ConfigError(
            f"an ensemble needs a proposer with class scores of its own. '{spec}' has none. Use --proposer "
            "transformers:FOLDER, or --ensemble region."
        )
    if scheme != "files" or not folder:
        found = find_proposer(spec, classnames, known=(*_PROPOSERS, "files:FOLDER"))
        return lambda name: found
    if not Path(folder).is_dir():
        raise ConfigError(f"--proposer files: needs a folder. '{folder}' is none. Give another.")
    if tile is not None:
        raise ConfigError(
            "--proposer files: has the masks of whole images. Got it with --tile. Leave one out."
        )
    return lambda name: segmentation.MaskFile(segmentation.mask_file_of(Path(folder), name))


def _listed(text: str) -> list[str]:
    return [", ".join(segmentation.names_of(entry)) for entry in segmentation.listed_classes(text)]
