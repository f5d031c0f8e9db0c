"""Mask-Fill: full fine-tuning that keeps the frozen model's features on images with foreign patches.

Source: Xiao et al., "Masked images are counterfactual samples for robust fine-tuning", CVPR 2023, in its variant of
random masks and a single fill (theirs of masks by object maps is not here). f is the image tower, f0 as it came, x'
the image with patches of another one; patches are the tower's own:

    loss = cross-entropy(x) + beta * mean_b || f(x'_b) - f0(x'_b) ||^2        features of unit norm

The released code weighs the mean over 512 dimensions of features of norm about 10 by 30; on unit norm and summed
over dimensions that is about beta = 6.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from radapter.losses import FeatureLoss
from radapter.methods.learner import HeadLearner, LabelledPairs
from radapter.methods.method import Built, Method, MethodSettings
from radapter.methods.tower_and_head import tower_and_head
from radapter.models import DualEncoder
from radapter.zeroshot import LinearHead

WEIGHT = 6.0
MASKED_SHARE = 0.5
PATCHES = 7  # a side, of a tower without a grid of its own: those of the paper's ViT-B/32 at 224 pixels


def patches_a_side(encoder: DualEncoder) -> int:
    """The side of the grid of patches that the image tower reads, `PATCHES` where no convolution makes one."""
    parts = (part for part in encoder.image_tower() if isinstance(part, nn.Module))
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.kernel_size == module.stride:
            return encoder.image_size // module.kernel_size[0]
    return PATCHES


def filled(pixels: Tensor, masked: Tensor, others: Tensor) -> Tensor:
    """Images whose masked patches are those of another image, at the same place.

        x'_b = x_b where masked_b is False, other_b where it is True

    Args:
        pixels: (B, 3, H, W).
        masked: (B, P, P), bool, a grid of patches over the image.
        others: (B, 3, H, W), the images that fill.

    Returns:
        (B, 3, H, W).
    """
    grid = masked[:, None].to(torch.uint8)
    mask = F.interpolate(grid, size=pixels.shape[-2:], mode="nearest").bool()  # (B, 1, H, W)
    return torch.where(mask, others, pixels)


class CounterfactualDistillation(nn.Module):
    """beta * mean_b ||f(x'_b) - f0(x'_b)||^2, with random masks and fills from torch's generator.

    A batch of one image has nothing to fill from and gives 0. An image is filled from the whole batch, whichever
    process holds the other.

    Args:
        teacher: gives f0; it is copied and frozen.
        weight: beta.
    """

    def __init__(self, teacher: DualEncoder, weight: float = WEIGHT) -> None:
        super().__init__()
        self.weight = weight
        self.patches = patches_a_side(teacher)
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def train(self, mode: bool = True) -> "CounterfactualDistillation":
        """The teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, learner: HeadLearner, pairs: LabelledPairs) -> Tensor:
        """A scalar. Labels and captions are not read."""
        pixels, own = pairs.pixels, slice(None)
        if pairs.parts is not None:
            pixels, own = pairs.parts.joined(pixels), pairs.parts.own
        images = len(pixels)
        if images == 1:
            return pixels.new_zeros(())
        # on the CPU, so that a seed gives the same masks on every device
        masked = torch.rand(images, self.patches, self.patches) < MASKED_SHARE
        source = (
            torch.arange(images) + torch.randint(1, images, (images,))
        ) % images  # never the image itself
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
    """Trains the image tower and the head beside a frozen copy. `settings` is not used."""
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
    runs="mask-fill",
    towers=("image",),
)
