"""Retrieval between images and captions: image-text pairs are trained, the sum of six recalls counts."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from radapter.data import EvalLoader, GroupedBatchSampler, Memory, PairSet
from radapter.data.loading import Loader
from radapter.data.shards.stream import ShardStream
from radapter.evaluation import RetrievalMeasure
from radapter.evaluation.features import KeptTexts
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Suite, stream_loader, train_loader
from radapter.training import Captions, PairCaptions, StreamCaptions
from radapter.zeroshot import Classifier


@final
@dataclass(frozen=True)
class RetrievalSuite(Suite[PairSet | ShardStream, PairSet]):
    """Sets of images and their captions.

    Attributes:
        per_group: pairs of each target class in a batch, which divides the batch size; None draws pairs at random.
            For a stream it is the number of captions of each image, and None is one.
        texts: text features of captions, kept while the text tower stays the same.
    """

    per_group: int | None = None
    texts: KeptTexts = field(default_factory=KeptTexts, repr=False, compare=False)
    task: ClassVar[str] = "retrieval"

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[Loader, Captions]:
        """Return pairs, shuffled or class by class."""
        train, per_group = self.train, self.per_group
        assert train is not None
        # not mirrored by default: captions may tell left from right
        common: dict[str, Any] = {"flip": False, "seed": seed, "processes": processes}
        if isinstance(train, ShardStream):
            stream = stream_loader(train, encoder, recipe, per_image=per_group or 1, **common)
            return stream, StreamCaptions(encoder.tokenize)
        samples = train.samples()
        sampler = None
        if per_group is not None:
            groups = recipe.batch_size // per_group
            sampler = GroupedBatchSampler(
                samples.targets, groups_per_batch=groups, per_group=per_group, seed=seed
            )
        loader = train_loader(samples, encoder, recipe, memory=memory, sampler=sampler, **common)
        return loader, PairCaptions(train.captions, encoder.tokenize)

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvalLoader],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, RetrievalMeasure]:
        """Each set ranks its own images and captions; zero-shot predictions are not kept."""
        found: dict[str, RetrievalMeasure] = {}
        # A set and its grey copy have the same captions, which are encoded once.
        texts: dict[tuple[str, ...], Callable[[], Tensor]] = {}
        for (role, name), loader in loaders.items():
            data = loader.dataset
            assert isinstance(data, PairSet)
            features = partial(self.texts.features, classifier.encoder, data.captions, processes)
            found[f"{role}/{name}"] = RetrievalMeasure(
                classifier.encoder,
                loader,
                texts.setdefault(data.captions, features),
                data.image_of_caption,
                data.groups,
                _numbers(data.captions),
                data.targets,
            )
        return found


def _numbers(captions: Sequence[str]) -> Tensor:
    """(M,): equal captions have equal numbers."""
    known: dict[str, int] = {}
    return torch.tensor([known.setdefault(caption, len(known)) for caption in captions])
