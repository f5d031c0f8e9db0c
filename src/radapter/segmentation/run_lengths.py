"""COCO's compressed run lengths (RLE) of masks, written and read with pycocotools.

A mask is read column by column; the string holds the lengths of its runs of 0 and 1 in turn. The mask of a part of a
larger picture is encoded without the full-size mask in memory.
"""

import warnings
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from radapter.errors import DataError, MissingExtraError


class RunLengths(TypedDict):
    """COCO's form. size: height and width. counts: the compressed string."""

    size: list[int]
    counts: str


def encode(mask: Tensor, *, left: int = 0, top: int = 0, size: tuple[int, int] | None = None) -> RunLengths:
    """The run lengths of a mask within a picture.

    Args:
        mask: (h, w), bool.
        left: Column of the picture where the mask starts.
        top: Its row.
        size: Height and width of the picture; None for the mask's own.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    height, width = tuple(mask.shape) if size is None else size
    # The ends of runs within each column: +1 where one starts, -1 behind its last pixel.
    steps = np.diff(np.pad(mask.cpu().numpy().astype(np.int8), ((1, 1), (0, 0))), axis=0)
    starts, stops = (_places(steps, sign, left, top, height) for sign in (1, -1))
    # A run that goes on at the top of the next column is one run.
    joined = np.concatenate([[False], starts[1:] == stops[:-1]]) if len(starts) else np.zeros(0, bool)
    edges = np.stack([starts[~joined], stops[np.roll(~joined, -1)]], 1).reshape(-1)
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    counts = counts[: len(counts) - (counts[-1] == 0)]  # a mask that ends in 1 has no run after it
    packed = _pycocotools().frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def decode(value: Any, *, size: tuple[int, int], where: str) -> Tensor:
    """The mask (H, W), bool, of run lengths, compressed or not.

    Args:
        value: A mapping with "size", height and width, and "counts", a string or a list of lengths.
        size: Height and width that the mask must have.
        where: Name of the mask for messages.

    Raises:
        DataError: It is no run lengths, they do not fill their size, or the size differs.
        MissingExtraError: pycocotools is not installed.
    """
    tools = _pycocotools()
    if not isinstance(value, dict) or not {"size", "counts"} <= value.keys():
        raise DataError(f"a region must hold run lengths: size and counts. {where} does not.")
    if value["size"] != list(size):
        raise DataError(
            f"masks must have their image's size, {size[1]} x {size[0]}. {where} says height and width are "
            f"{value['size']}. Give the masks of this image."
        )
    try:
        if isinstance(value["counts"], list):
            packed = tools.frPyObjects({"size": list(size), "counts": value["counts"]}, *size)
        else:
            packed = {"size": list(size), "counts": value["counts"]}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # pycocotools 2.0.11 asks numpy 2 in its old way
            return torch.from_numpy(tools.decode(packed)).bool()
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"run lengths must fill their mask. {where}: {error}. Write it again.") from error


def _places(steps: np.ndarray, sign: int, left: int, top: int, height: int) -> np.ndarray:
    columns, rows = np.nonzero((steps * sign > 0).T)
    return (columns + left) * height + rows + top


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingExtraError(
            "run lengths of masks need pycocotools, which is not installed. "
            "Run pip install 'radapter[segmentation]'."
        ) from error
    return mask
