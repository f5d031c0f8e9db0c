"""Which mask belongs to which image: files of two folders that have the same name but for suffix and ending."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radapter.data.labelled.class_folders import first_few, images_in
from radapter.errors import DataError


class PairedFile(NamedTuple):
    """An image, its mask and what both are called: the path below their folder, without suffix and ending."""

    id: str
    image: str
    mask: str


def paired_files(
    images: Path,
    masks: Path,
    *,
    image_ending: str = "",
    mask_ending: str = "",
    ids: Sequence[str] | None = None,
) -> list[PairedFile]:
    """The images of one folder, each with its mask of another, in the order of their ids.

    Args:
        images: the folder of images, at any depth.
        masks: the folder of masks, which may be the same; below it paths are as below `images`.
        image_ending: what image names have after the id, before the suffix, such as "_leftImg8bit"; files
            without it are left out.
        mask_ending: the same for masks, such as "_gtFine_labelIds".
        ids: the images to take, in this order; None takes all, and then no mask may be left over.

    Raises:
        DataError: a folder is missing or holds nothing that fits, two files have one id, or an image has no mask
            or a mask no image.
    """
    found_images = _by_id(images, image_ending, "image")
    found_masks = _by_id(masks, mask_ending, "mask")
    wanted = list(found_images) if ids is None else list(ids)
    if not wanted:
        raise DataError(f"list of images must name one. That of '{images}' names none.")
    without_image = [
        name for name in (wanted if ids is not None else found_masks) if name not in found_images
    ]
    without_mask = [name for name in wanted if name not in found_masks]
    if without_mask:
        raise DataError(
            f"every image must have a mask of its name. Of the {len(wanted)} in '{images}' {len(without_mask)} have "
            f"none in '{masks}': {first_few(without_mask)}. Add the masks, or take these images out."
        )
    if without_image:
        raise DataError(
            f"every mask must have an image of its name. Of the {len(found_masks)} in '{masks}' "
            f"{len(without_image)} have none in '{images}': {first_few(without_image)}. Add the images, or take "
            "these masks out."
        )
    return [PairedFile(name, found_images[name], found_masks[name]) for name in wanted]


def ids_in(folder: Path, ending: str, what: str) -> list[str]:
    """The ids of the files in a folder whose names have that ending, sorted.

    Args:
        folder: at any depth.
        ending: what names have after the id, before the suffix.
        what: "image" or "mask", for messages.

    Raises:
        DataError: the folder is missing or holds no such file, or two files have one id.
    """
    return list(_by_id(folder, ending, what))


def _by_id(folder: Path, ending: str, what: str) -> Mapping[str, str]:
    if not folder.is_dir():
        raise DataError(f"{what} folder must exist. '{folder}' does not.")
    names = [(Path(file).relative_to(folder).with_suffix("").as_posix(), file) for file in images_in(folder)]
    named = [(name.removesuffix(ending), file) for name, file in names if name.endswith(ending)]
    if not named:
        ended = f" whose names end in '{ending}'" if ending else ""
        raise DataError(f"{what} folder must hold {what} files{ended}. '{folder}' holds none.")
    twice = [name for name, count in collections.Counter(name for name, _ in named).items() if count > 1]
    if twice:
        raise DataError(
            f"{what} files must differ in more than their suffix. '{folder}' has several of {first_few(twice)}. "
            "Remove all but one of each."
        )
    return dict(named)
