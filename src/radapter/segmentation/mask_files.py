"""Precomputed regions, one file per image in one folder, and COCO's run lengths (RLE) of masks.

The masks of `a/b.jpg` are in one of these files, looked for in this order:

    a/b.npz   arrays "masks" (Q, H, W), bool or numbers in [0, 1], and optionally "objectness" (Q,)
    a/b.json  a list, or a mapping whose "regions" is one, of {"segmentation": {"size": [H, W], "counts": ...}} with
              run lengths, compressed or not, and optionally "objectness"; `radapter segment` writes it
    a/b.png   grey or indexed, 8 or 16 bits: each value but 0 is a region

No file is unpickled, and no more than MAX_REGIONS masks of the image's size are read. Run lengths are written and
read with pycocotools: a mask is read column by column, and the string holds the lengths of its runs of 0 and 1 in
turn.
"""

import warnings
import zipfile
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from radapter.data.masks.label_maps import decode_label_map
from radapter.errors import DataError, import_extra
from radapter.given_files import IMAGE_FILE, read_bytes, read_json_file
from radapter.segmentation.proposals import Proposals

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
        return Proposals(masks.half(), _objectness(objectness, len(masks), self._path))


def mask_file_of(folder: Path, image: Path) -> Path:
    """The file in `folder` that holds the masks of `image`, a path relative to the images' folder. Raises DataError
    if there is none."""
    names = [image.with_suffix(suffix) for suffix in _READERS]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    looked_for = ", ".join(map(str, names))
    raise DataError(f"masks must be in '{folder}'. '{image}' has none. Looked for {looked_for}.")


def encode(
    mask: Tensor, *, left: int = 0, top: int = 0, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """COCO's compressed run lengths, "size" and "counts", of a mask (h, w), bool, within a larger image.

    The mask starts at column `left` and row `top` of an image with `size`, height and width; None for the mask's
    own. The full-size mask is not held in memory. Raises MissingExtraError if pycocotools is not installed.
    """
    height, width = tuple(mask.shape) if size is None else size
    columns, rows = np.nonzero(np.diff(np.pad(mask.cpu().numpy(), ((1, 1), (0, 0))), axis=0).T)
    # Where a run goes on at the top of the next column, its end in one column is its start in the next: no edge.
    edges, times = np.unique((columns + left) * height + rows + top, return_counts=True)
    counts = np.diff(np.concatenate([[0], edges[times == 1], [height * width]]))
    counts = counts[: len(counts) - (counts[-1] == 0)]  # a mask that ends in 1 has no run after it
    packed = _pycocotools().frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def decode(value: Any, *, size: tuple[int, int], where: str) -> Tensor:
    """The mask (H, W), bool, of run lengths; "counts" is a compressed string or a list of lengths.

    `size` is the height and width that the mask must have, `where` its name for messages. Raises DataError if the
    value is no run lengths, they do not fill their size, or the size differs, and MissingExtraError as `encode`.
    """
    tools = _pycocotools()
    if not isinstance(value, dict) or not {"size", "counts"} <= value.keys():
        raise DataError(f"a region must hold run lengths: size and counts. {where} does not.")
    if value["size"] != list(size):
        raise DataError(
            f"masks must have their image's size, {size[1]} x {size[0]}. {where} has height and width "
            f"{value['size']}. Give the masks of this image."
        )
    packed = {"size": list(size), "counts": value["counts"]}
    try:
        if isinstance(value["counts"], list):
            packed = tools.frPyObjects(packed, *size)
        with warnings.catch_warnings():
            # pycocotools 2.0.11 calls numpy 2 in a deprecated way
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.from_numpy(tools.decode(packed)).bool()
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"run lengths must fill their mask. {where}: {error}. Write it again.") from error


def _pycocotools() -> Any:
    return import_extra("pycocotools.mask", "run lengths of masks need pycocotools", extra="segmentation")


def _from_arrays(path: Path, size: tuple[int, int]) -> tuple[Tensor, Any]:
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
    return found, objectness


def _from_run_lengths(path: Path, size: tuple[int, int]) -> tuple[Tensor, Any]:
    try:
        content = read_json_file(path)
    except (OSError, ValueError) as error:
        raise DataError(f"a mask file must be whole. '{path}': {error}.") from error
    regions = content.get("regions") if isinstance(content, dict) else content
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise DataError(f"a mask file must hold a list of regions. '{path}' does not.")
    _check_number(len(regions), path)
    masks = [
        decode(region.get("segmentation"), size=size, where=f"'{path}' region {number}")
        for number, region in enumerate(regions)
    ]
    stacked = torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool)
    has_all = all("objectness" in region for region in regions)
    return stacked, [region["objectness"] for region in regions] if has_all else None


def _from_labels(path: Path, size: tuple[int, int]) -> tuple[Tensor, Any]:
    try:
        labels = decode_label_map(read_bytes(path, limit=IMAGE_FILE), where=str(path)).values
    except OSError as error:
        raise DataError(f"a mask file must be readable. '{path}': {error.strerror}.") from error
    values = np.unique(labels[labels != 0])
    _check_number(len(values), path)
    return torch.from_numpy(labels[None] == values[:, None, None]), None


def _check_number(count: int, path: Path) -> None:
    if count > MAX_REGIONS:
        raise DataError(f"a mask file must hold at most {MAX_REGIONS} masks. '{path}' holds {count}.")


def _objectness(values: Any, count: int, path: Path) -> Tensor:
    if values is None:
        return torch.ones(count)
    try:
        found = torch.tensor(np.asarray(values, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"objectness must be numbers. '{path}': {error}.") from error
    if found.shape != (count,) or not (found.ge(0) & found.le(1)).all():
        raise DataError(f"objectness must be {count} numbers in [0, 1], one a mask. '{path}' holds others.")
    return found


_READERS = {".npz": _from_arrays, ".json": _from_run_lengths, ".png": _from_labels}
