"""Images that a browser sent, decoded within bounds and prepared for the model."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

from PIL import Image
from torch import Tensor

from radapter.data.images.decoding import decode
from radapter.errors import ImageError
from radapter.models import DualEncoder

SIDE = 640
"""Pixels of the longer side of an image that is segmented; a larger one is shrunk, for an answer within seconds."""
_KEPT = 32  # images


@final
@dataclass(frozen=True, eq=False)
class Upload:
    """One image; two of them are equal only if they are the same object."""

    pixels: Tensor  # (3, H, W), preprocessed
    small: Image.Image  # RGB, at most SIDE pixels on its longer side


@final
class Uploads:
    """Opens files of one folder, and no others.

    Args:
        encoder: Its `preprocess` prepares the images.
        folder: Where the server puts what it receives, each file below a folder named after its content.
        max_pixels: Largest image.
    """

    def __init__(self, encoder: DualEncoder, folder: Path, *, max_pixels: int) -> None:
        self._encoder, self._folder, self._max_pixels = encoder, folder.resolve(), max_pixels
        self._kept = lru_cache(_KEPT)(self._read)

    def open(self, path: str | os.PathLike[str]) -> Upload:
        """Decodes an image; the last ones are kept.

        Raises ImageError if it is outside of the folder, missing, too large, or no image.
        """
        file = Path(path).resolve()
        if not file.is_relative_to(self._folder):
            raise ImageError("an image must be uploaded. The server opens no other file. Upload it.")
        return self._kept(file)

    def _read(self, file: Path) -> Upload:
        image = decode(file, where=file.name, max_pixels=self._max_pixels)
        small = image.copy()
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return Upload(self._encoder.preprocess(image), small)
