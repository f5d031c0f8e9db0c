"""Mask-Fill: full fine-tuning that keeps the frozen model's features on images with foreign patches.

Source: Xiao et al., "Masked images are counterfactual samples for robust fine-tuning", CVPR 2023, in its variant of
random masks and a single fill (not the one of masks by object maps). f is the image tower, f0 the pre-trained one,
x' the image with patches of another one, on the tower's own grid:

    loss = cross-entropy(x) + beta * mean_b || f(x'_b) - f0(x'_b) ||^2        features of unit norm

The released code multiplies the mean over 512 dimensions, of features of norm about 10, by 30. For unit norm, summed
over dimensions, that is about beta = 6.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner, LabelledPairs, tower_and_head
from radapter.methods.method import Built, Method, MethodSettings
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

WEIGHT = 6.0
MASKED_SHARE = 0.5
PATCHES = 7  # a side, for a tower without a grid: that of the paper's ViT-B/32 at 224 pixels


def patches_a_side(encoder: DualEncoder) -> int:
    """The side of the image tower's grid of patches; `PATCHES` if no convolution makes one."""
    parts = (part for part in encoder.image_tower() if isinstance(part, nn.Module))
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.kernel_size == module.stride:
            return encoder.image_size // module.kernel_size[0]
    return PATCHES


def filled(pixels: Tensor, masked: Tensor, others: Tensor) -> Tensor:
    """The images `pixels` (B, 3, H, W), with the patches of `others` where the grid `masked` (B, P, P) is True."""
    grid = masked[:, None].to(torch.uint8)
    mask = F.interpolate(grid, size=pixels.shape[-2:], mode="nearest").bool()  # (B, 1, H, W)
    return torch.where(mask, others, pixels)


class CounterfactualDistillation(nn.Module):
    """weight * mean_b ||f(x'_b) - f0(x'_b)||^2, with random masks and fills from torch's generator.

    f0 is a frozen copy of `teacher`. Images are filled from the whole batch, across processes; a batch of one image
    gives 0.
    """

    def __init__(self, teacher: DualEncoder, weight: float = WEIGHT) -> None:
        super().__init__()
        self.weight = weight
        self.patches = patches_a_side(teacher)
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def train(self, mode: bool = True) -> "CounterfactualDistillation":
        """Sets the mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, learner: HeadLearner, pairs: LabelledPairs, image_features: Tensor | None = None
    ) -> Tensor:
        """A scalar; labels, captions and the features of the images as they are, are ignored."""
        pixels, own = pairs.pixels, slice(None)
        if pairs.parts is not None:
            pixels, own = pairs.parts.joined(pixels), pairs.parts.own
        images = len(pixels)
        if images == 1:
            return pixels.new_zeros(())
        # on the CPU, so that a seed gives the same masks on every device
        masked = torch.rand(images, self.patches, self.patches) < MASKED_SHARE
        other = torch.randint(1, images, (images,))  # never the image itself
        source = (torch.arange(images) + other) % images
        device = pixels.device
        mixed = filled(pixels[own], masked[own].to(device), pixels[source[own].to(device)])
        kept = F.normalize(learner.encoder.encode_image(mixed), dim=-1)
        with torch.no_grad():
            wanted = F.normalize(self.teacher.encode_image(mixed), dim=-1)
        distances = (kept - wanted).square().sum(1)
        if pairs.parts is not None:
            distances = pairs.parts.joined(distances)
        return self.weight * distances.mean()


def build(encoder: DualEncoder, *, head: LinearHead, loss: FeatureLoss, settings: MethodSettings) -> Built:
    """Trains the image tower and the head beside a frozen copy. `settings` is ignored."""
    distillation = CounterfactualDistillation(encoder)
    return Built(tower_and_head(encoder, head, loss, distillation), adapters=None)


METHOD = Method(
    name="mask-fill",
    summary="as full, features kept on images with foreign patches",
    source="Xiao et al. 2023",
    losses=("cross-entropy",),
    learning_rate=3e-5,
    rate_source="Mask-Fill's release",
    head_learning_rate=3e-5,
    build=build,
    towers=("image",),
)
