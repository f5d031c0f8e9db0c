# ruff: noqa: RUF001 - the captions are meant to hold what looks like other characters
"""Tokenizers between libraries, and the texts that they tokenise differently.

open_clip repairs a text before it tokenises: ftfy straightens quotation marks and undoes broken encodings, and HTML
entities are decoded. transformers does neither. A folder of open_clip always has this cleaning, so a model that
crosses there from transformers gets it. In the other direction the commonest repairs are written into the tokenizer.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, decoders, normalizers
from torch import Tensor
from transformers import AutoTokenizer, CLIPTokenizer, PreTrainedTokenizerFast

from radapter.errors import ModelError
from radapter.models.openclip_files import import_open_clip
from radapter.models.tokenizing import LazyTokenizer

logger = logging.getLogger(__name__)

AWKWARD = (  # captions as on the web, the same for every export
    "a photo of a dog.", "A PHOTO of Two  Dogs!", "it's the dog's life, isn't it", "it’s the dog’s life",
    "“quoted” words", "‘single’ quotes", "rock &amp; roll", "3 &lt; 5 &gt; 2", "a &quot;quoted&quot; word",
    "the dog&#39;s&nbsp;bone", "twice &amp;amp; encoded", "caf&eacute;", "café", "cafe\u0301", "ﬁre and ﬂoor",
    "ＦＵＬＬ width", "1,000.50 € – a lot…", "a_b/c#d @e", "😀 smile", "一只狗", "собака", "new\nline and\ttab",
    "itâ€™s broken", "zero\u200bwidth", "<b>bold</b>",
)  # fmt: skip

_CLEANING = (
    (r"&(amp|#38);", "&"), (r"&(amp|#38);", "&"),  # open_clip decodes twice
    (r"&(lt|#60);", "<"), (r"&(gt|#62);", ">"), (r"&(nbsp|#160);", " "),
    (r"&(quot|#34|ldquo|rdquo|#8220|#8221);", '"'), (r"&(apos|#39|#x27|lsquo|rsquo|#8216|#8217);", "'"),
    ("[\u02bc\u2018-\u201b]", "'"), ("[\u201c-\u201f]", '"'),  # ftfy's single and double quotation marks
    ("\ufb00", "ff"), ("\ufb01", "fi"), ("\ufb02", "fl"), ("\ufb03", "ffi"), ("\ufb04", "ffl"),
)  # fmt: skip


def write_tokenizer(lazy: LazyTokenizer, folder: Path) -> bool:
    """Writes a tokenizer in transformers' form. If it has none, logs a warning and returns False."""
    try:
        tokenizer = lazy.get()
    except ModelError as error:
        logger.warning("exported without a tokenizer: %s", error)
        return False
    if not hasattr(tokenizer, "save_pretrained"):
        if not isinstance(tokenizer, import_open_clip().SimpleTokenizer):
            logger.warning("exported without a tokenizer: a callable given to load() cannot be written.")
            return False
        tokenizer = _clip_tokenizer(tokenizer, lazy.context_length)
    tokenizer.save_pretrained(str(folder))
    return True


def _clip_tokenizer(simple: Any, context_length: int) -> PreTrainedTokenizerFast:
    """open_clip's own tokenizer for transformers: the same ids up to the end of text, except after rare repairs."""
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {renamed.get(token, token): number for token, number in simple.encoder.items()}
    backend = CLIPTokenizer(vocab=vocabulary, merges=list(simple.bpe_ranks)).backend_tokenizer
    repairs = [normalizers.Replace(Regex(pattern), repaired) for pattern, repaired in _CLEANING]
    backend.normalizer = normalizers.Sequence([*repairs, backend.normalizer])
    steps = [decoders.ByteLevel(), decoders.Replace("</w>", " "), decoders.Strip(" ", 0, 1)]
    backend.decoder = decoders.Sequence(steps)
    tokens = {"bos_token": "<|startoftext|>"}
    tokens |= dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>")
    # A folder of a CLIPTokenizer is read back with CLIPTokenizer's own normalizer; this class keeps the saved one.
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=context_length, **tokens)


def plain_tokens(folder: Path, library: str, texts: Sequence[str], context_length: int) -> Tensor:
    """Token ids (N, L) by the tokenizer that the library alone makes from a folder of transformers or open_clip."""
    if library == "open_clip":
        import open_clip

        tokens: Tensor = open_clip.get_tokenizer(f"local-dir:{folder}")(list(texts))
        return tokens
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    encoded = tokenizer(list(texts), padding="max_length", max_length=context_length, truncation=True)
    return torch.tensor(encoded["input_ids"])


def rows_that_differ(before: Tensor, after: Tensor, *, eos_id: int | None) -> list[int]:
    """The rows that differ between token ids (N, L), up to the first `eos_id`, where towers stop; None: all."""
    rows = zip(before.tolist(), after.tolist(), strict=True)
    return [i for i, (ours, theirs) in enumerate(rows) if _up_to(ours, eos_id) != _up_to(theirs, eos_id)]


def _up_to(ids: list[int], eos_id: int | None) -> list[int]:
    return ids[: ids.index(eos_id) + 1] if eos_id in ids else ids
