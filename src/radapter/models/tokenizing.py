"""Tokenizers, made on first use: many come from a hub, and loading, inspecting and merging need none."""

import inspect
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from radapter.errors import ModelError
from radapter.models.folders import check_folder, reading

Tokenizer: TypeAlias = Callable[[list[str]], Tensor]  # N texts to (N, L) int64 token ids
TokenizerSpec: TypeAlias = Tokenizer | PreTrainedTokenizerBase | str | os.PathLike[str]
"""What users may give: a callable, a transformers tokenizer, or a folder with one's files."""

Made: TypeAlias = Tokenizer | PreTrainedTokenizerBase
_TRIED = ("a photo of a dog.", "")
_ENDS = 8  # more than the tokens that a tokenizer puts around a text


class LazyTokenizer:
    """A tokenizer that `make`, picklable for reader processes, creates on first use.

    Args:
        make: Returns a callable, or a transformers tokenizer.
        context_length: L; kept as an attribute.
        folder: The directory that `make` reads, whose values are tried out; None if the tokenizer is given.
        vocab_size: Of the text tower; 0 allows any id.
    """

    def __init__(
        self,
        make: Callable[[], Made],
        context_length: int,
        *,
        folder: Path | None = None,
        vocab_size: int = 0,
    ) -> None:
        self._make = make
        self.context_length = context_length
        self._folder = folder
        self._vocab_size = vocab_size
        self._made: Made | None = None

    def get(self) -> Made:
        """The tokenizer itself. Raises ModelError if its files are missing."""
        if self._made is None:
            made = self._make()
            if self._folder is not None:
                with reading(self._folder):
                    trial = LazyTokenizer(partial(_itself, made), self.context_length)
                    trial(_TRIED)
                    trial.token_counts(_TRIED)
                    trial.unknown_id()
            self._made = made
        return self._made

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token ids (N, L), int64, of N texts. Raises ModelError if files are missing, or ids have another shape."""
        tokenizer, length = self.get(), self.context_length
        if not texts:
            return torch.empty(0, length, dtype=torch.long)
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            encoded = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True)
            tokens = torch.tensor(encoded["input_ids"], dtype=torch.long).reshape(len(texts), -1)
        else:
            tokens = tokenizer(list(texts)).long()
        if tokens.shape != (len(texts), length):
            shapes = f"({len(texts)}, {length}), got {tuple(tokens.shape)}"
            raise ModelError(f"tokenizer must give ids of shape {shapes}. Give one with this context length.")
        if self._vocab_size and not (largest := int(tokens.max())) < self._vocab_size:
            raise ModelError(
                f"token ids must be below the text tower's vocab_size, {self._vocab_size}, got {largest}. Copy the "
                "tokenizer's files again, or give the model's own tokenizer."
            )
        return tokens

    def unknown_id(self) -> int | None:
        """See `DualEncoder.unknown_id`."""
        tokenizer = self.get()
        inner = getattr(tokenizer, "tokenizer", tokenizer)  # open_clip wraps those of transformers
        if not isinstance(inner, PreTrainedTokenizerBase) or inner.unk_token_id is None:
            return None
        # CLIP's tokenizer uses its end of text, which every text has, as the unknown token too.
        used = {inner.bos_token_id, inner.eos_token_id, inner.pad_token_id}
        return None if inner.unk_token_id in used else int(inner.unk_token_id)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """See `DualEncoder.token_counts`."""
        tokenizer = self.get()
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            if not texts:
                return []
            return [len(ids) for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]
        if "context_length" not in inspect.signature(tokenizer).parameters:
            raise ModelError(
                f"tokenizer must take context_length to count tokens. Give another tokenizer than {tokenizer!r}."
            )
        # Every byte gives at most one token, so that nothing is cut here, and the last column is padding.
        uncut: Callable[..., Tensor] = tokenizer
        return [_used(uncut([text], context_length=len(text.encode()) + _ENDS)[0]) for text in texts]


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a transformers tokenizer's files."""
    known = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
    return any((folder / name).is_file() for name in known)


def tokenizer_from_folder(folder: Path) -> PreTrainedTokenizerBase:
    """The transformers tokenizer in a local folder. Raises ModelError if the folder has none."""
    if not has_tokenizer(folder):
        raise ModelError(
            f"tokenizer files must be in '{folder}'. Looked for tokenizer.json, vocab.json and merges.txt, "
            "spiece.model, tokenizer.model. Copy them there, or in Python give load(..., tokenizer=) a folder or a "
            "callable."
        )
    check_folder(folder)
    with reading(folder / "tokenizer_config.json"):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def lazy_tokenizer(
    given: TokenizerSpec | None,
    own: Callable[[], Made],
    context_length: int,
    *,
    folder: Path | None,
    vocab_size: int,
    from_folder: Callable[[Path], Made] = tokenizer_from_folder,
) -> LazyTokenizer:
    """The tokenizer that a user gave, or the model's own, which `folder` and `vocab_size` check."""
    if given is None:
        return LazyTokenizer(own, context_length, folder=folder, vocab_size=vocab_size)
    if isinstance(given, str | os.PathLike):
        return LazyTokenizer(partial(from_folder, Path(given).expanduser()), context_length)
    return LazyTokenizer(partial(_itself, given), context_length)


def _itself(made: Made) -> Made:
    return made


def _used(row: Tensor) -> int:
    return int((row != row[-1]).nonzero().max()) + 1 if bool((row != row[-1]).any()) else 0
