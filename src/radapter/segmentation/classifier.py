"""Class scores of regions: the crops of all regions of all images through one CLIP, against class embeddings.

    c_q = softmax_c( logit_scale cos(f(crop_q), g(class_c)) )

A class may have synonyms: an entry of the class names is one name, or several separated by commas. `segment` runs
all stages: crops, scores, ensemble, pixels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, final

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from radapter.errors import DataError
from radapter.models import DualEncoder
from radapter.segmentation.crops import PLAIN, CropStyle, RegionCrops, crop_for, pixels_of
from radapter.segmentation.ensembles import Ensemble, combine
from radapter.segmentation.mask_prompts import MaskPrompts
from radapter.segmentation.pixels import label_map
from radapter.segmentation.proposals import Proposals
from radapter.zeroshot import check_classnames, class_embeddings, device_of, evaluating, spoken

Synonyms = Literal["mean", "max"]


class ClassHead(NamedTuple):
    """Embeddings of C classes."""

    embeddings: Tensor  # unit norm, (N, E), N = C if each class has one
    classes: Tensor  # (N,), int64, ascending, the class of each

    def cosines(self, features: Tensor) -> Tensor:
        """The cosine of unit features (B, E) with each class, the largest of a class's embeddings: (B, C)."""
        single = features @ self.embeddings.T
        count = int(self.classes[-1]) + 1
        if count == single.shape[1]:
            return single
        index = self.classes.expand(len(features), -1)
        by_class = single.new_zeros(len(features), count)
        return by_class.scatter_reduce(1, index, single, "amax", include_self=False)


def names_of(entry: str) -> tuple[str, ...]:
    """The distinct names of a class: "car, automobile" gives two; underscores become spaces. Raises DataError if a
    name is empty."""
    names = [spoken(name) for name in entry.split(",")]
    if not all(names):
        raise DataError(f"class names must not be empty. '{entry}' holds an empty one. Check its commas.")
    return tuple(dict.fromkeys(names))


def listed_classes(text: str) -> list[str]:
    """The classes of a text, separated by commas; by semicolons if there is one, so that a class may have commas."""
    return [entry.strip() for entry in text.split(";" if ";" in text else ",")]


def class_head(
    encoder: DualEncoder, classnames: Sequence[str], templates: Sequence[str], *, synonyms: Synonyms = "mean"
) -> ClassHead:
    """The zero-shot head of C classes with synonyms; each name is averaged over the templates.

    Two classes may share a name. `synonyms` "mean": a class is the mean of its names, scaled to unit norm. "max":
    its cosine is the largest of its names'.

    Raises:
        DataError: There is no class, two are equal, or a name is empty.
        ConfigError: There is no template.
    """
    check_classnames(classnames)
    groups = [names_of(entry) for entry in classnames]
    names = list(dict.fromkeys(name for group in groups for name in group))
    embeddings = class_embeddings(encoder, names, templates)
    device, row_of = embeddings.device, {name: row for row, name in enumerate(names)}
    rows = torch.tensor([row_of[name] for group in groups for name in group], device=device)
    sizes = torch.tensor([len(group) for group in groups], device=device)
    classes = torch.arange(len(groups), device=device).repeat_interleave(sizes)
    if synonyms == "max" or len(rows) == len(groups):  # the mean of one name is that name, to the last bit
        return ClassHead(embeddings[rows], classes)
    sums = embeddings.new_zeros(len(groups), embeddings.shape[1]).index_add(0, classes, embeddings[rows])
    return ClassHead(F.normalize(sums, dim=-1), torch.arange(len(groups), device=device))


class RegionScores(NamedTuple):
    """Scores of the Q regions of one image."""

    scores: Tensor  # (Q, C), float32, rows sum to 1; 0 if a region is not valid
    valid: Tensor  # (Q,), bool, whether it has a pixel


@final
class RegionClassifier:
    """Classifies regions with an encoder as it is now: adapted, merged or neither.

    The first three arguments and `synonyms` are those of `class_head`.

    Args:
        prompts: Learned tokens for the background; None leaves the fill colour there.
        style: How regions are cut out.
        batch_size: Crops in one pass of the tower.

    Attributes:
        crops: Gives the regions as the tower takes them, from the arguments of `region_crops`.

    Raises:
        DataError: There is no class, two are equal, or a name is empty.
        ModelError: The model has an image tower only.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        classnames: Sequence[str],
        templates: Sequence[str],
        *,
        synonyms: Synonyms = "mean",
        prompts: MaskPrompts | None = None,
        style: CropStyle = PLAIN,
        batch_size: int = 64,
    ) -> None:
        self.classnames = tuple(classnames)
        self._encoder = encoder
        self._head = class_head(encoder, classnames, templates, synonyms=synonyms)
        self._prompts = prompts
        self._batch_size = batch_size
        self.crops = crop_for(encoder, style)

    def scores(self, crops: Sequence[RegionCrops]) -> list[RegionScores]:
        """Class scores of the regions of several images, which share the passes of the tower."""
        if not crops:
            return []
        valid = torch.cat([region.valid for region in crops]).cpu()
        scores = torch.zeros(len(valid), len(self.classnames))
        if valid.any():
            pixels = torch.cat([region.pixels[region.valid] for region in crops])
            masks = torch.cat([region.masks[region.valid] for region in crops])
            scores[valid] = self._probabilities(pixels, masks)
        parts = torch.split(scores, [len(region.valid) for region in crops])
        return [RegionScores(part, region.valid) for part, region in zip(parts, crops, strict=True)]

    def __call__(self, images: Sequence[Tensor], masks: Sequence[Tensor]) -> list[RegionScores]:
        """Crops and scores the regions of several images, (3, H, W) and (Q, H, W) each, as `region_crops`."""
        return self.scores([self.crops(image, regions) for image, regions in zip(images, masks, strict=True)])

    @torch.no_grad()
    def _probabilities(self, pixels: Tensor, masks: Tensor) -> Tensor:
        encoder, device = self._encoder, device_of(self._encoder)
        parts, batches = [], (torch.split(each, self._batch_size) for each in (pixels, masks))
        with evaluating(encoder):
            for part, shown in zip(*batches, strict=True):
                if self._prompts is None:
                    features = encoder.encode_image(part.to(device))
                else:
                    features = self._prompts.encode_image(encoder, part.to(device), shown.to(device))
                cosines = self._head.cosines(F.normalize(features.float(), dim=-1).to(self._head.embeddings))
                parts.append((encoder.logit_scale.float() * cosines).softmax(-1).float().cpu())
        return torch.cat(parts)


class Segmentation(NamedTuple):
    """One segmented image."""

    labels: Tensor  # (H, W), int64, into the classes; NOTHING, -1, outside of regions
    scores: Tensor  # (Q, C), the regions' scores after the ensemble
    valid: Tensor  # (Q,), bool, whether a region has a pixel


def segment(
    images: Sequence[Image],
    proposals: Sequence[Proposals],
    classifier: RegionClassifier,
    *,
    ensemble: Ensemble = "region",
    weight: float | tuple[float, float] | None = None,
    seen: Tensor | None = None,
) -> list[Segmentation]:
    """Segments RGB images whose regions, at their size, are known; they share the passes of the tower.

    The last three arguments are those of `combine`. Raises DataError if masks have another size than their image,
    and ConfigError if the ensemble needs scores that the proposer lacks.
    """
    for image, regions in zip(images, proposals, strict=True):
        height, width = regions.masks.shape[1:]
        if image.size != (width, height):
            raise DataError(
                f"masks must have their image's size, {image.size[0]} x {image.size[1]}. They have "
                f"{width} x {height}. Give the masks of this image, at its own size."
            )
    found = classifier([pixels_of(image) for image in images], [regions.masks for regions in proposals])
    segmented = []
    for regions, (region_scores, valid) in zip(proposals, found, strict=True):
        scores = combine(regions.class_scores, region_scores, weight, ensemble, valid=valid, seen=seen)
        segmented.append(Segmentation(label_map(scores, regions.masks), scores, valid))
    return segmented
