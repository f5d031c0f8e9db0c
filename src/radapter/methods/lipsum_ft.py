"""Lipsum-FT: full fine-tuning that keeps the pre-trained model's logits of random texts.

Source: Nam et al., "Lipsum-FT: robust fine-tuning of zero-shot models using random text guidance", ICLR 2024. f is
the image tower, f0 the pre-trained one, t the temperature, G the unit-norm features of M = 80 random texts. A text
is a begin token, 8 random ids and an end token; all are drawn anew at every step:

    v(x) = t f(x) G        loss = cross-entropy + weight * mean over x of ||v(x) - v0(x)||^2 / (2 M)

The paper's formula has plain inner products; the release multiplies them by t, about 100. The head has no bias. The
release trains its rows without the temperature, at the towers' rate: here the rows include it, so the head's rate is
100 times as high.
"""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.losses.batch import widen
from radapter.methods.learner import tower_and_head
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.teacher import Drawn, FrozenTeacher, TeacherSettings, half_mean_square
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead, device_of

TEXTS, WORDS = 80, 8
RATE = 1e-5


@final
class RandomTexts:
    """`TEXTS` texts of `WORDS` ids each, all ids but those that begin and end a text."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.around = encoder.tokenize([""])[0]
        (self.ends,) = encoder.token_counts([""])
        special = torch.unique(self.around[: self.ends])
        ids = torch.arange(encoder.towers.vocab_size)
        self.ids = ids[~torch.isin(ids, special)]

    def tokens(self) -> Tensor:
        """Random token ids (M, L), drawn on the CPU."""
        words = self.ids[torch.randint(len(self.ids), (TEXTS, min(WORDS, len(self.around) - self.ends)))]
        begin = self.around[: self.ends // 2].expand(TEXTS, -1)
        end = self.around[self.ends // 2 : self.ends].expand(TEXTS, -1)
        rows = self.around[-1].repeat(TEXTS, len(self.around))
        whole = torch.cat([begin, words, end], 1)
        rows[:, : whole.shape[1]] = whole
        return rows

    def draw(self, teacher: DualEncoder) -> Drawn:
        """Random texts, read by the teacher's text tower."""
        tokens = self.tokens().to(device_of(teacher))
        return Drawn(F.normalize(widen(teacher.encode_text(tokens)), dim=-1))


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains the image tower and the rows of the head beside a frozen copy."""
    assert isinstance(settings, TeacherSettings)
    term = None
    if settings.weight:
        term = FrozenTeacher(encoder, RandomTexts(encoder), half_mean_square, weight=settings.weight)
    learner = tower_and_head(encoder, head, loss, term)
    assert isinstance(learner.head, LinearHead)
    learner.head.bias.requires_grad_(False)
    return Built(learner, adapters=None)


METHOD = Method(
    name="lipsum-ft",
    summary="as full, logits of random texts kept by a frozen teacher",
    source="Nam et al. 2024",
    losses=("cross-entropy",),
    learning_rate=RATE,
    rate_source="Lipsum-FT's release",
    head_learning_rate=100 * RATE,
    build=build,
    settings_type=TeacherSettings,
    towers=("image",),
)
