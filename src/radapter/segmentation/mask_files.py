"""Precomputed regions, one file per image in one folder.

The masks of `a/b.jpg` are in one of these files, looked for in this order:

    a/b.npz   arrays "masks" (Q, H, W), bool or numbers in [0, 1], and optionally "objectness" (Q,)
    a/b.json  a list, or a mapping whose "regions" is one, of {"segmentation": {"size": [H, W], "counts": ...}} with
              COCO's run lengths, compressed or not, and optionally "objectness"; `radapter segment` writes it
    a/b.png   grey or indexed, 8 or 16 bits: each value but 0 is a region

No file is unpickled, and no more than MAX_REGIONS masks of the image's size are read.
"""

import zipfile
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.data.masks.label_maps import decode_label_map
from radapter.errors import DataError
from radapter.given_files import IMAGE_FILE, read_bytes, read_json_file
from radapter.segmentation.proposals import Proposals
from radapter.segmentation.run_lengths import decode

MAX_REGIONS = 1000


@final
class MaskFile:
    """Gives the masks of one file, for the one image that they belong to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, image: Image) -> Proposals:
        """The file's masks in half precision. Raises DataError if the file is damaged, holds something else, too
        much, or masks of another size."""
        masks, objectness = _READERS[self._path.suffix](self._path, image.size[::-1])
        if masks.shape[1:] != image.size[::-1]:
            raise DataError(
                f"masks must have their image's size, {image.size[0]} x {image.size[1]}. '{self._path}' holds "
                f"{masks.shape[2]} x {masks.shape[1]}. Give the masks of this image, at its own size."
            )
        return Proposals(masks.half(), torch.ones(len(masks)) if objectness is None else objectness)


def mask_file_of(folder: Path, image: Path) -> Path:
    """The file in `folder` that holds the masks of `image`, a path relative to the images' folder. Raises DataError
    if there is none."""
    names = [image.with_suffix(suffix) for suffix in _READERS]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    looked_for = ", ".join(str(name) for name in names)
    raise DataError(f"masks must be in '{folder}'. '{image}' has none. Looked for {looked_for}.")


def _from_arrays(path: Path, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    limit = MAX_REGIONS * size[0] * size[1] * 8
    try:
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(entry.file_size for entry in archive.infolist())
        if unfolded > limit + (1 << 16):
            raise DataError(
                f"a mask file must hold at most {MAX_REGIONS} masks of its image's size. '{path}' unfolds to "
                f"{unfolded:,} bytes, above {limit:,}."
            )
        with np.load(path, allow_pickle=False) as arrays:
            masks, objectness = arrays["masks"], arrays.get("objectness")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"a mask file must be npz with an array 'masks'. '{path}': {error}.") from error
    if masks.ndim != 3 or masks.dtype.kind not in "buif":
        raise DataError(f"masks must be (Q, H, W), numbers. '{path}' holds {masks.shape} of {masks.dtype}.")
    found = torch.from_numpy(np.ascontiguousarray(masks, dtype=np.float32))
    if found.numel() and not (found.ge(0) & found.le(1)).all():
        raise DataError(f"masks must lie in [0, 1]. '{path}' spans [{found.min():g}, {found.max():g}].")
    return found, None if objectness is None else _objectness(objectness, len(found), path)


def _from_run_lengths(path: Path, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    try:
        content = read_json_file(path)
    except (OSError, ValueError) as error:
        raise DataError(f"a mask file must be whole. '{path}': {error}.") from error
    regions = content.get("regions") if isinstance(content, dict) else content
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise DataError(f"a mask file must hold a list of regions. '{path}' does not.")
    if len(regions) > MAX_REGIONS:
        raise DataError(f"a mask file must hold at most {MAX_REGIONS} masks. '{path}' holds {len(regions)}.")
    masks = [
        decode(region.get("segmentation"), size=size, where=f"'{path}' region {number}")
        for number, region in enumerate(regions)
    ]
    stacked = torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)
    if not regions or not all("objectness" in region for region in regions):
        return stacked, None
    return stacked, _objectness([region["objectness"] for region in regions], len(stacked), path)


def _from_labels(path: Path, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    try:
        labels = decode_label_map(read_bytes(path, limit=IMAGE_FILE), where=str(path)).values
    except OSError as error:
        raise DataError(f"a mask file must be readable. '{path}': {error.strerror}.") from error
    values = [int(value) for value in np.unique(labels) if value != 0]
    if len(values) > MAX_REGIONS:
        raise DataError(f"a mask file must hold at most {MAX_REGIONS} masks. '{path}' holds {len(values)}.")
    masks = np.stack([labels == value for value in values]) if values else np.zeros((0, *labels.shape), bool)
    return torch.from_numpy(masks), None


def _objectness(values: Any, count: int, path: Path) -> Tensor:
    try:
        found = torch.tensor(np.asarray(values, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"objectness must be numbers. '{path}': {error}.") from error
    if found.shape != (count,) or not (found.ge(0) & found.le(1)).all():
        raise DataError(f"objectness must be {count} numbers in [0, 1], one a mask. '{path}' holds others.")
    return found


_READERS = {".npz": _from_arrays, ".json": _from_run_lengths, ".png": _from_labels}
