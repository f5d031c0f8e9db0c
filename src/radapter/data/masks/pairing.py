"""Pairs each image with its mask: files of two folders that have the same name but for suffix and ending."""

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from radapter.data.images.decoding import MAX_PIXELS
from radapter.data.images.sequences import FileImages
from radapter.data.labelled.class_folders import first_few, images_in
from radapter.data.masks.label_maps import EncodedMaps
from radapter.errors import DataError


class PairedFiles(NamedTuple):
    """N images, their masks and their ids: the paths below their folder, without suffix and ending."""

    images: FileImages
    masks: EncodedMaps
    ids: list[str]


def paired_files(
    images: Path,
    masks: Path,
    *,
    image_ending: str = "",
    mask_ending: str = "",
    ids: Sequence[str] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> PairedFiles:
    """The images below one folder, each with its mask below another or the same, in the order of their ids.

    Args:
        images: The folder of images.
        masks: The folder of masks.
        image_ending: What follows the id in image names, before the suffix, such as "_leftImg8bit"; other files are
            left out.
        mask_ending: The same for masks, such as "_gtFine_labelIds".
        ids: The images to take, in this order; None takes all, and every mask must then have an image.
        max_pixels: Larger images and masks are refused from their header.

    Raises:
        DataError: A folder is missing or holds no such file, two files have one id, or an image has no mask or a
            mask no image.
    """
    found_images = files_by_id(images, image_ending, "image")
    found_masks = files_by_id(masks, mask_ending, "mask")
    wanted = list(found_images) if ids is None else list(ids)
    if not wanted:
        raise DataError(f"list of images must name one. That of '{images}' is empty.")
    without_mask = [name for name in wanted if name not in found_masks]
    if without_mask:
        raise DataError(
            f"every image must have a mask of its name. Of the {len(wanted)} in '{images}' {len(without_mask)} have "
            f"none in '{masks}': {first_few(without_mask)}. Add the masks, or take these images out."
        )
    without_image = [name for name in (found_masks if ids is None else wanted) if name not in found_images]
    if without_image:
        raise DataError(
            f"every mask must have an image of its name. Of the {len(found_masks)} in '{masks}' "
            f"{len(without_image)} have none in '{images}': {first_few(without_image)}. Add the images, or take "
            "these masks out."
        )
    image_files = FileImages([found_images[name] for name in wanted], max_pixels=max_pixels)
    mask_files = FileImages([found_masks[name] for name in wanted], max_pixels=max_pixels)
    return PairedFiles(image_files, EncodedMaps(mask_files), wanted)


def files_by_id(folder: Path, ending: str, what: str) -> Mapping[str, str]:
    """Id -> path of the files in a folder whose names have this ending, sorted by id.

    Raises:
        DataError: The folder is missing or holds no such file, or two files have one id. `what` names them.
    """
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
