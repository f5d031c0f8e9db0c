"""`loss.anchor`: keeps a contrastive method near its start, on what its captions do not mention. Ours.

    loss + weight * mean over x of KL(p0(x), p(x))

p0(x) is the frozen base's zero-shot distribution over 64 texts for the image x, and p(x) that of the model in
training, for the same pixels. The texts are drawn anew at every step from a broad vocabulary: the nouns of
`radapter mine`, the adjectives and textures of qualities.txt, and words of the user. Close to CAR-FT and Lipsum-FT,
whose text tower is frozen; here a trained text tower is held too.
"""

from collections.abc import Sequence
from importlib import resources
from typing import final

import torch
from torch import Tensor

from radapter.errors import ConfigError
from radapter.methods.teacher import Drawn, FrozenTeacher, kl_divergence
from radapter.models import DualEncoder
from radapter.models.reading import unknown_words
from radapter.processes import ALONE, Processes
from radapter.segmentation.mining.nouns import vocabulary
from radapter.zeroshot import device_of, unit_texts

TEXTS = 64  # in each step
NOUN, QUALITY = "a photo of a {}.", "a photo of something {}."


@final
class VocabularyTexts:
    """Texts drawn from all K of a vocabulary, with tokens (K, L) and the teacher's features (K, E) of unit norm."""

    def __init__(self, tokens: Tensor, rows: Tensor) -> None:
        self.tokens, self.rows = tokens, rows

    def draw(self, teacher: DualEncoder) -> Drawn:
        """`TEXTS` different texts, or all if there are fewer."""
        chosen, device = torch.randperm(len(self.tokens))[:TEXTS], device_of(teacher)
        return Drawn(self.rows[chosen].to(device), self.tokens[chosen].to(device))


def anchor_words() -> tuple[list[str], list[str]]:
    """The built-in nouns, and the adjectives and textures."""
    forms = vocabulary().forms.values()
    nouns = dict.fromkeys(form.singular for form in forms if form.noun is not None)
    text = resources.files("radapter.methods").joinpath("qualities.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    qualities = dict.fromkeys(word.strip() for line in lines for word in line.split(",") if word.strip())
    return list(nouns), [word for word in qualities if word not in nouns]


def anchor(
    encoder: DualEncoder, words: Sequence[str] = (), *, weight: float, processes: Processes = ALONE
) -> FrozenTeacher:
    """The term for an encoder as it is now; `words` are added to the built-in ones.

    Words that the tokenizer does not know are left out. Raises ConfigError if fewer than two texts are left.
    """
    nouns, qualities = anchor_words()
    nouns = list(dict.fromkeys((*nouns, *words)))
    unknown = unknown_words(encoder, (*nouns, *qualities))
    texts = [
        template.format(word)
        for template, listed in ((NOUN, nouns), (QUALITY, qualities))
        for word in listed
        if word not in unknown
    ]
    if len(texts) < 2:
        raise ConfigError(
            f"loss.anchor needs two words that the text tower knows. '{encoder.name}' knows {len(texts)}. Add some "
            "in loss.anchor_words, or leave loss.anchor out."
        )
    rows = torch.cat([found.cpu() for _, found in unit_texts(encoder, texts, 256, processes)])
    texts_of_steps = VocabularyTexts(encoder.tokenize(texts), rows)
    return FrozenTeacher(encoder, texts_of_steps, kl_divergence, weight=weight)
