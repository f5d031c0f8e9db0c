"""The world's words and their numbers: a word-level tokenizer of transformers."""

from collections.abc import Sequence

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from radapter.world.phrases import HYPERNYMS, STYLE_PHRASES, SYNONYMS
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS

# transformers' CLIP pools at the first eos id, except where the id is 2: then it pools at the largest id.
PAD, BOS, UNK, EOS = 0, 1, 2, 3
CONTEXT = 18  # the longest caption has 16 words

_SPECIAL = ("<pad>", "<bos>", "<unk>", "<eos>")
_GRAMMAR = (
    "a an the of and on with in from small large background middle picture image drawing close up seen afar"
)


VOCABULARY = tuple(dict.fromkeys((
    *_SPECIAL, *_GRAMMAR.split(), *" ".join(STYLE_PHRASES.values()).split(), *COLOURS, *PATTERNS, *CLASSES,
    *SYNONYMS.values(), *HYPERNYMS.values(),
)))  # fmt: skip
_NUMBERS = {word: number for number, word in enumerate(VOCABULARY)}


def encode(texts: Sequence[str]) -> Tensor:
    """Token ids (N, CONTEXT), int64, of N captions of the world, faster than `tokenizer`: captions must have lower
    case and no punctuation. A row holds bos, words, eos and padding, cut to the context."""
    rows = torch.full((len(texts), CONTEXT), PAD)
    for row, text in enumerate(texts):
        words = [_NUMBERS.get(word, UNK) for word in text.split()[: CONTEXT - 2]]
        rows[row, : len(words) + 2] = torch.tensor([BOS, *words, EOS])
    return rows


def tokenizer() -> PreTrainedTokenizerFast:
    """A transformers tokenizer that agrees with `encode`, and also lower-cases and drops punctuation."""
    core = Tokenizer(models.WordLevel(dict(_NUMBERS), unk_token=_SPECIAL[UNK]))
    letters = normalizers.Replace(Regex("[^a-z]+"), " ")
    core.normalizer = normalizers.Sequence([normalizers.Lowercase(), letters])
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [("<bos>", BOS), ("<eos>", EOS)]
    core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=_SPECIAL[PAD],
        bos_token=_SPECIAL[BOS],
        unk_token=_SPECIAL[UNK],
        eos_token=_SPECIAL[EOS],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
