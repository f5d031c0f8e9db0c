"""Tokenizers, made on first use: many come from a hub, and loading, inspecting and merging need none."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from radapter.errors import ModelError
from radapter.models.encoder import Tokenizer

TokenizerSpec: TypeAlias = Tokenizer | PreTrainedTokenizerBase | str | os.PathLike[str]
"""What users may give: a callable, a transformers tokenizer, or a folder with one's files."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.json and merges.txt", "spiece.model", "tokenizer.model")


class LazyTokenizer:
    """A tokenizer made by `make` when it is first asked for.

    Args:
        make: gives a callable, or a transformers tokenizer.
        context_length: L.
    """

    def __init__(self, make: Callable[[], Tokenizer | PreTrainedTokenizerBase], context_length: int) -> None:
        self._make = make
        self._context_length = context_length
        self._made: Tokenizer | PreTrainedTokenizerBase | None = None

    def get(self) -> Tokenizer | PreTrainedTokenizerBase:
        """The tokenizer itself.

        Raises:
            ModelError: its files are missing.
        """
        if self._made is None:
            self._made = self._make()
        return self._made

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(N, L), int64.

        Raises:
            ModelError: the files are missing, or a given callable returns another shape.
        """
        tokenizer, length = self.get(), self._context_length
        if not texts:
            return torch.empty(0, length, dtype=torch.long)
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            encoded = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True)
            tokens = torch.tensor(encoded["input_ids"], dtype=torch.long).reshape(len(texts), -1)
        else:
            tokens = tokenizer(list(texts)).long()
        if tokens.shape != (len(texts), length):
            raise ModelError(
                f"tokenizer must give ids of shape ({len(texts)}, {length}). Got {tuple(tokens.shape)}. "
                "Give a tokenizer with the model's context length."
            )
        return tokens


def given_tokenizer(spec: TokenizerSpec) -> Callable[[], Tokenizer | PreTrainedTokenizerBase]:
    """How to make the tokenizer that a user gave."""
    if isinstance(spec, PreTrainedTokenizerBase) or callable(spec):
        return lambda: spec
    return lambda: tokenizer_from_folder(Path(spec))


def tokenizer_from_folder(folder: Path) -> PreTrainedTokenizerBase:
    """The transformers tokenizer in a local folder; nothing is downloaded.

    Raises:
        ModelError: the folder has none.
    """
    known = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
    if not any((folder / name).is_file() for name in known):
        raise ModelError(
            f"tokenizer files must be in '{folder}'. Looked for {', '.join(TOKENIZER_FILES)}. "
            "Copy them there, or give load(..., tokenizer=) a folder or a callable."
        )
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"tokenizer in '{folder}' cannot be read: {error}. Copy its files again.") from error
