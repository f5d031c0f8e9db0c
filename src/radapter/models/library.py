"""What radapter needs of a library of models.

A new family of towers is one file with these names, and one entry in `loading.LIBRARIES`.
"""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from radapter.adapter.sites import Family
from radapter.models.encoder import DualEncoder
from radapter.models.tokenizing import TokenizerSpec

Batch = tuple[Tensor, Tensor | None]
"""Images (B, 3, H, W), and token ids (B, L) or None without a text tower."""
Features = dict[str, Tensor]
"""(B, E) features by tower, "image" and, if there is one, "text"."""


class Request(NamedTuple):
    """The arguments of `load`; see there."""

    name: str
    dtype: torch.dtype = torch.float32
    allow_download: bool = False
    tokenizer: TokenizerSpec | None = None
    seed: int = 0


class Library(Protocol):
    """A module that loads, describes and writes the models of one library.

    NAME is `DualEncoder.library` and the format of `export`; SCHEME:REST are the names of its models; FAMILY says
    where their adapter sites are.
    """

    NAME: str
    SCHEME: str
    FAMILY: Family

    def load_named(self, rest: str, request: Request) -> DualEncoder | Path:
        """Loads SCHEME:REST, in evaluation mode, or returns the local folder that holds it."""

    def owns(self, folder: Path) -> bool:
        """Whether a folder is one of its models."""

    def load_folder(self, folder: Path, request: Request) -> DualEncoder:
        """Loads such a folder, in evaluation mode."""

    def write(self, plain: nn.Module, towers: Any, folder: Path) -> bool:
        """Writes a merged module with these `Towers`; returns whether the folder has the tokenizer."""

    def features(self, folder: Path, batch: Batch, dtype: torch.dtype) -> Features:
        """The features of a folder that the library alone has loaded, with none of radapter's loaders."""
