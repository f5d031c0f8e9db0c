"""Open-vocabulary segmentation: regions with nouns are trained on, whole images are segmented, mIoU counts.

Training sees crops: the caption is the noun in a template, the target the noun, so that regions of one noun are
positives of each other. Evaluation sees images: every proposal is classified among the class names of its set.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from radapter.data import Memory, PairedMaskDataset, TrainLoader
from radapter.evaluation import SegmentationMeasure
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.segmentation import MaskProposer, class_head
from radapter.segmentation.class_names import names_of
from radapter.segmentation.prompted import with_masks
from radapter.segmentation.region_loader import Crop, RegionLoader
from radapter.segmentation.training_regions import TIGHT, Frame, RegionSet, SquareRegions
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import EvaluationBatches, Sealed, sets_of_roles, train_loader
from radapter.training import ClassCaptions
from radapter.zeroshot import Classifier, LinearHead


@final
@dataclass(frozen=True)
class SegmentationSuite:
    """Regions to train on; validation and test sets of masked images.

    Attributes:
        train: regions with a noun each; of a suite that is only evaluated, any set.
        id_val: what selects; None where nothing is selected.
        id_test: in-distribution test sets, by name.
        ood: shifted test sets, by name; may be empty.
        templates: prompts with one "{}" each, of nouns in training and of class names in evaluation.
        proposer: finds the regions of a test image.
        crop: cuts them out for the tower.
        frame: of trained regions, as `crop` frames tested ones.
        unseen: nouns whose regions are not trained on, and whose IoU is reported apart.
        masks: whether pixels carry the region's mask as a fourth channel, for a `PromptedEncoder`; see `prompted`.
    """

    train: RegionSet | PairedMaskDataset
    id_val: PairedMaskDataset | None
    id_test: Mapping[str, PairedMaskDataset]
    ood: Mapping[str, PairedMaskDataset]
    templates: tuple[str, ...]
    proposer: MaskProposer
    crop: Crop
    frame: Frame = TIGHT
    unseen: tuple[str, ...] = ()
    masks: bool = False
    task: ClassVar[Literal["segmentation"]] = "segmentation"

    def sets(self, *roles: str) -> dict[tuple[str, str], PairedMaskDataset]:
        """(role, name) -> the sets of these roles."""
        return sets_of_roles(roles, id_val=self.id_val, id_test=self.id_test, ood=self.ood)

    def sealed(self) -> "SegmentationSuite":
        """The same suite whose test sets cannot be read."""
        return replace(self, id_test=Sealed("id_test"), ood=Sealed("ood"))

    def prompted(self) -> "SegmentationSuite":
        """The same suite for a `PromptedEncoder`."""
        return replace(self, crop=with_masks(self.crop), masks=True)

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """A head of no classes: none is trained; each test set has classes of its own."""
        return LinearHead(next(encoder.parameters()).new_zeros(0, encoder.embed_dim))

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[TrainLoader, ClassCaptions]:
        """Regions, shuffled, and the captions of their nouns."""
        assert not isinstance(self.train, PairedMaskDataset)
        regions = SquareRegions(
            self.train,
            size=encoder.image_size,
            fill=encoder.image_mean,
            frame=self.frame,
            masks=self.masks,
            without=self.unseen,
        )
        loader = train_loader(
            regions, encoder, recipe, task=self.task, seed=seed, memory=memory, processes=processes
        )
        nouns = [names_of(noun)[0] for noun in self.train.nouns]  # of synonyms the first
        return loader, ClassCaptions(nouns, self.templates, encoder.tokenize, seed=seed)

    def loader(
        self,
        data: PairedMaskDataset,
        preprocess: Callable[..., Tensor],
        *,
        batch_size: int,
        max_bad: float,
        workers: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> RegionLoader:
        """The regions of a set; `crop` prepares them, so `preprocess` and `workers`, which decode, have no say."""
        return RegionLoader(
            data,
            self.proposer,
            self.crop,
            batch_size=batch_size,
            max_bad=max_bad,
            memory=memory,
            processes=processes,
        )

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvaluationBatches],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, SegmentationMeasure]:
        """Sets with the same class names share a zero-shot head, which each process makes for itself; what zero-shot
        predicts is not kept."""
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
        """Templates, nouns and what was left out of them."""
        assert not isinstance(self.train, PairedMaskDataset)
        return {
            "templates": list(self.templates),
            "nouns": list(self.train.nouns),
            "unseen": list(self.unseen),
        }


def _head(encoder: DualEncoder, classnames: tuple[str, ...], templates: tuple[str, ...]) -> LinearHead:
    """The zero-shot head; a class with synonyms is their mean."""
    return LinearHead.zero_shot(class_head(encoder, classnames, templates).embeddings, encoder.logit_scale)
