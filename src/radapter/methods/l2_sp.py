"""L2-SP: full fine-tuning with a penalty on the distance from its start.

Source: Li et al., "Explicit inductive bias for transfer learning with convolutional networks", ICML 2018. w0 are the
pre-trained weights, alpha is `WEIGHT`:

    loss = cross-entropy + alpha / 2 * sum_i (w_i - w0_i)^2

alpha is the 0.1 of the released code (holyseven/TransferLearningClassification), which trains with SGD; under AdamW
its effect differs. On the synthetic benchmark (seed 100, 100 steps, default rate), the matrices of the image tower
end at these distances from the start:

    alpha                  0 (full)   0.1    1
    distance               1.28       1.07   0.52
    top-1 ID validation    85.0       84.5   81.8
    top-1 mean OOD         58.6       60.1   64.5

The paper searched alpha for each data set. Its plain L2 term for a new last layer is not needed: the head starts as
the zero-shot head and is in the sum. Biases and norms are free, as in the released code.
"""

import torch
from torch import Tensor, nn

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner, LabelledPairs, tower_and_head, trained_parameters
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

WEIGHT = 0.1


class StartingPoint(nn.Module):
    """weight / 2 * ||w - w0||^2 over the trained matrices, w0 being the weights when this is created."""

    def __init__(self, learner: HeadLearner, weight: float = WEIGHT) -> None:
        super().__init__()
        self.weight = weight
        for number, parameter in enumerate(_matrices(learner)):
            self.register_buffer(str(number), parameter.detach().clone(), persistent=False)

    def forward(
        self, learner: HeadLearner, pairs: LabelledPairs, image_features: Tensor | None = None
    ) -> Tensor:
        """A scalar; the batch is ignored."""
        pairs_of = zip(_matrices(learner), self.buffers(), strict=True)
        distances = [(now - start).square().sum() for now, start in pairs_of]
        return self.weight / 2 * torch.stack(distances).sum()


def _matrices(learner: HeadLearner) -> list[nn.Parameter]:
    return [parameter for parameter in trained_parameters(learner).values() if parameter.ndim > 1]


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains the image tower and the head near their start. `settings` is ignored."""
    learner = tower_and_head(encoder, head, loss)
    learner.regulariser = StartingPoint(learner)
    return Built(learner, adapters=None)


METHOD = Method(
    name="l2-sp",
    summary="as full, with a penalty on the distance from the start",
    source="Li et al. 2018",
    losses=("cross-entropy",),
    learning_rate=3e-5,
    rate_source="WiSE-FT's release: L2-SP has none for CLIP",
    head_learning_rate=3e-5,
    build=build,
    towers=("image",),
)
