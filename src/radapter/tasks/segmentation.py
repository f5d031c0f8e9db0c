"""Open-vocabulary segmentation: regions with nouns are trained on, whole images are segmented, mIoU counts.

Training reads crops. The caption is the noun in a template and the target is the noun, so regions of one noun are
positives of each other. Evaluation reads images: every proposal is classified among the class names of its set.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from radapter.data import Memory, PairedMaskDataset, TrainLoader
from radapter.evaluation import SegmentationMeasure
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.segmentation import MaskProposer, class_head
from radapter.segmentation.classifier import names_of
from radapter.segmentation.crops import Crop
from radapter.segmentation.mask_prompts import with_masks
from radapter.segmentation.region_loader import RegionLoader
from radapter.segmentation.training_regions import TIGHT, Frame, RegionSet, SquareRegions
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import EvaluationBatches, Suite, train_loader
from radapter.training import ClassCaptions
from radapter.zeroshot import Classifier, LinearHead


@final
@dataclass(frozen=True)
class SegmentationSuite(Suite[RegionSet, PairedMaskDataset]):
    """Regions with a noun each to train on; validation and test sets of masked images.

    Attributes:
        templates: prompts with one "{}" each, of nouns in training and of class names in evaluation.
        proposer: finds the regions of a test image.
        crop: cuts them out for the tower.
        frame: frames trained regions as `crop` frames tested ones.
        unseen: nouns whose regions are not trained on; their IoU is reported separately.
        masks: whether pixels carry the region's mask as a fourth channel, for a `PromptedEncoder`; see `prompted`.
    """

    templates: tuple[str, ...]
    proposer: MaskProposer
    crop: Crop
    frame: Frame = TIGHT
    unseen: tuple[str, ...] = ()
    masks: bool = False
    task: ClassVar[str] = "segmentation"

    def prompted(self) -> "SegmentationSuite":
        """Return the suite for a `PromptedEncoder`."""
        return replace(self, crop=with_masks(self.crop), masks=True)

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[TrainLoader, ClassCaptions]:
        """Return shuffled regions and the captions of their nouns."""
        assert self.train is not None
        regions = SquareRegions(
            self.train,
            size=encoder.image_size,
            fill=encoder.image_mean,
            frame=self.frame,
            masks=self.masks,
            without=self.unseen,
        )
        loader = train_loader(
            regions, encoder, recipe, flip=True, seed=seed, memory=memory, processes=processes
        )
        nouns = [names_of(noun)[0] for noun in self.train.nouns]  # the first of several synonyms
        return loader, ClassCaptions(nouns, self.templates, encoder.tokenize, seed=seed)

    def loader(
        self, data: PairedMaskDataset, preprocess: Callable[..., Tensor], **loading: Any
    ) -> RegionLoader:
        """Return the regions of a set. `crop` prepares them, so `preprocess` and `workers` are ignored."""
        used = {key: value for key, value in loading.items() if key != "workers"}
        return RegionLoader(data, self.proposer, self.crop, **used)

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvaluationBatches],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, SegmentationMeasure]:
        """Sets with the same class names share a zero-shot head, which each process computes for itself.

        Zero-shot predictions are not kept.
        """
        found: dict[str, SegmentationMeasure] = {}
        heads: dict[tuple[str, ...], Callable[[], LinearHead]] = {}
        for (role, name), loader in loaders.items():
            assert isinstance(loader, RegionLoader)
            names = loader.dataset.classnames
            head = partial(_head, classifier.encoder, names, self.templates)
            unseen = torch.tensor([each in self.unseen for each in names]) if self.unseen else None
            found[f"{role}/{name}"] = SegmentationMeasure(
                classifier.encoder, heads.setdefault(names, head), loader, names, unseen
            )
        return found

    def about(self) -> dict[str, Any]:
        """Return templates, nouns and those that were left out."""
        assert self.train is not None
        return {
            "templates": list(self.templates),
            "nouns": list(self.train.nouns),
            "unseen": list(self.unseen),
        }


def _head(encoder: DualEncoder, classnames: tuple[str, ...], templates: tuple[str, ...]) -> LinearHead:
    return LinearHead.zero_shot(class_head(encoder, classnames, templates).embeddings, encoder.logit_scale)
