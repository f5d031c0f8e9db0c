"""Cross-modal retrieval: pairs of an image and its caption, the sum of six recalls counts."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from radapter.data import EvalLoader, GroupedBatchSampler, Memory, PairSet
from radapter.data.loading import Loader
from radapter.data.shards.stream import ShardStream
from radapter.evaluation import RetrievalMeasure
from radapter.evaluation.kept_texts import KeptTexts
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Sealed, sets_of_roles, stream_loader, train_loader
from radapter.training import Captions, PairCaptions, StreamCaptions
from radapter.zeroshot import Classifier, LinearHead


@final
@dataclass(frozen=True)
class RetrievalSuite:
    """Training, validation and test sets of images and their captions.

    Attributes:
        train: in-distribution pairs to train on.
        id_val: what selects; None where nothing is selected.
        id_test: in-distribution test sets, by name.
        ood: shifted test sets, by name; may be empty.
        per_group: pairs of each target class in a batch, so that multi-positives occur; None draws pairs at
            random. The recipe's batch size is a multiple of it. Of a stream it is captions of each image, of which
            None takes one.
        texts: what the text tower said of captions, while it stays the same.
    """

    train: PairSet | ShardStream
    id_val: PairSet | None
    id_test: Mapping[str, PairSet]
    ood: Mapping[str, PairSet]
    per_group: int | None = None
    texts: KeptTexts = field(default_factory=KeptTexts, repr=False, compare=False)
    task: ClassVar[Literal["retrieval"]] = "retrieval"
    loader: ClassVar[type[EvalLoader]] = EvalLoader

    def sets(self, *roles: str) -> dict[tuple[str, str], PairSet]:
        """(role, name) -> the sets of these roles."""
        return sets_of_roles(roles, id_val=self.id_val, id_test=self.id_test, ood=self.ood)

    def sealed(self) -> "RetrievalSuite":
        """The same suite whose test sets cannot be read."""
        return replace(self, id_test=Sealed("id_test"), ood=Sealed("ood"))

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """A head of no classes."""
        return LinearHead(next(encoder.parameters()).new_zeros(0, encoder.embed_dim))

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[Loader, Captions]:
        """Pairs, shuffled or class by class."""
        if isinstance(self.train, ShardStream):
            stream = stream_loader(
                self.train,
                encoder,
                recipe,
                task=self.task,
                seed=seed,
                per_image=self.per_group or 1,
                processes=processes,
            )
            return stream, StreamCaptions(encoder.tokenize)
        samples = self.train.samples()
        sampler = None
        if self.per_group is not None:
            sampler = GroupedBatchSampler(
                samples.targets,
                groups_per_batch=recipe.batch_size // self.per_group,
                per_group=self.per_group,
                seed=seed,
            )
        loader = train_loader(
            samples,
            encoder,
            recipe,
            task=self.task,
            seed=seed,
            memory=memory,
            sampler=sampler,
            processes=processes,
        )
        return loader, PairCaptions(self.train.captions, encoder.tokenize)

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvalLoader],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, RetrievalMeasure]:
        """Each set ranks its own images and captions; what zero-shot predicts is not kept."""
        found: dict[str, RetrievalMeasure] = {}
        # Grey images have the captions of coloured ones, which are then encoded once.
        texts: dict[tuple[str, ...], Callable[[], Tensor]] = {}
        for (role, name), loader in loaders.items():
            data = loader.dataset
            assert isinstance(data, PairSet)
            found[f"{role}/{name}"] = RetrievalMeasure(
                classifier.encoder,
                loader,
                texts.setdefault(
                    data.captions,
                    partial(self.texts.features, classifier.encoder, data.captions, processes),
                ),
                data.image_of_caption,
                data.groups,
                _numbers(data.captions),
                data.targets,
            )
        return found

    def about(self) -> dict[str, Any]:
        """Nothing: retrieval has neither classes nor templates."""
        return {}


def _numbers(captions: Sequence[str]) -> Tensor:
    """(M,): equal captions have equal numbers."""
    known: dict[str, int] = {}
    return torch.tensor([known.setdefault(caption, len(known)) for caption in captions])
