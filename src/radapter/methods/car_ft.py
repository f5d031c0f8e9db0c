"""CAR-FT: full fine-tuning that keeps what the pre-trained model says about the context of an image.

Source: Mao et al., "Context-aware robust fine-tuning", IJCV 2024 (arXiv 2211.16175). No code was released. f is the
image tower, f0 the pre-trained one, t the temperature. Q has one row for each template, the mean over classes of
unit text features, scaled to unit norm:

    p(x) = softmax(t f(x) Q)        loss = cross-entropy + weight * mean over x of KL(p0(x), p(x))

The contexts are the templates of the run. The abstract, which alone was read, gives neither the order of the
divergence, nor the temperature, nor the weight. The rate is that of WiSE-FT.
"""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.methods.learner import tower_and_head
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.teacher import Drawn, FrozenTeacher, TeacherSettings, kl_divergence
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead, prompts, unit_texts


@final
class FixedRows:
    """The same rows (M, E) of unit norm in every step."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def draw(self, teacher: DualEncoder) -> Drawn:
        """The rows."""
        return Drawn(self.rows)


def context_rows(encoder: DualEncoder, head: LinearHead) -> Tensor:
    """Q, (T, E): for each template of the head, the mean of its classes' unit text features, of unit norm."""
    found = []
    for template in head.templates:
        texts = [prompts(name, [template])[0] for name in head.classnames or ()]
        units = torch.cat([unit for _, unit in unit_texts(encoder, texts, 256)])
        found.append(F.normalize(units.mean(0), dim=0))
    return torch.stack(found) if found else head.weight.new_zeros(0, encoder.embed_dim)


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains the image tower and the head beside a frozen copy."""
    assert isinstance(settings, TeacherSettings)
    term = None
    if settings.weight:
        texts = FixedRows(context_rows(encoder, head))
        term = FrozenTeacher(encoder, texts, kl_divergence, weight=settings.weight)
    return Built(tower_and_head(encoder, head, loss, term), adapters=None)


METHOD = Method(
    name="car-ft",
    summary="as full, context predictions kept by a frozen teacher",
    source="Mao et al. 2022",
    losses=("cross-entropy",),
    learning_rate=3e-5,
    rate_source="WiSE-FT's release: CAR-FT has none",
    head_learning_rate=3e-5,
    build=build,
    settings_type=TeacherSettings,
    towers=("image",),
)
