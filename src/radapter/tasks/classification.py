"""Classification: images are trained with captions of their class, a head classifies, top-1 accuracy counts."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, final

from torch import Tensor

from radapter.data import ClassificationSet, EvalLoader, Memory
from radapter.data.loading import Loader
from radapter.data.shards.stream import ShardStream
from radapter.evaluation import ClassificationMeasure
from radapter.evaluation.features import KeptTexts
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.tasks.suite import Sealed, Suite, stream_loader, train_loader
from radapter.training import ClassCaptions
from radapter.zeroshot import Classifier, Head, LinearHead


@final
@dataclass(frozen=True)
class TransferSet:
    """A test set with classes of its own, and templates with one "{}" each for their zero-shot head."""

    data: ClassificationSet
    templates: tuple[str, ...]


@final
@dataclass(frozen=True)
class ClassificationSuite(Suite[ClassificationSet | ShardStream, ClassificationSet]):
    """Sets of labelled images with one list of classes, and test sets with others.

    Attributes:
        classnames: the labels of every set but the transfer sets index them.
        templates: prompts with one "{}" each.
        transfer: test sets with other classes, by name.
        texts: text embeddings of class names, kept while the text tower stays the same.
    """

    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    transfer: Mapping[str, TransferSet] = field(default_factory=dict)
    texts: KeptTexts = field(default_factory=KeptTexts, repr=False, compare=False)
    task: ClassVar[str] = "classification"

    def sets(self, *roles: str) -> dict[tuple[str, str], ClassificationSet]:
        """Return (role, name) -> the sets of these roles."""
        transfer = self.transfer.items() if "transfer" in roles else ()
        return super().sets(*roles) | {("transfer", name): other.data for name, other in transfer}

    def sealed(self) -> "ClassificationSuite":
        """Return the suite without readable test sets."""
        return replace(super().sealed(), transfer=Sealed("transfer"))

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """Return the zero-shot head."""
        return self._zero_shot(encoder, self.classnames, self.templates, processes)

    def _zero_shot(
        self, encoder: DualEncoder, classnames: Sequence[str], templates: Sequence[str], processes: Processes
    ) -> LinearHead:
        embeddings = self.texts.class_embeddings(encoder, classnames, templates, processes)
        return LinearHead.zero_shot(embeddings, encoder.logit_scale, classnames, templates)

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[Loader, ClassCaptions]:
        """Return shuffled images and the captions of their classes."""
        train = self.train
        assert train is not None
        loader: Loader
        if isinstance(train, ShardStream):
            loader = stream_loader(train, encoder, recipe, flip=True, seed=seed, processes=processes)
        else:
            loader = train_loader(
                train, encoder, recipe, flip=True, seed=seed, memory=memory, processes=processes
            )
        return loader, ClassCaptions(self.classnames, self.templates, encoder.tokenize, seed=seed)

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvalLoader],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> dict[str, ClassificationMeasure]:
        """Sets of the training classes share a head; each transfer set has one of its own classes."""
        encoder, trained = classifier.encoder, classifier.head
        shared: Callable[[], Head] = partial(self.head, encoder, processes)
        if trained is not None:
            shared = trained.prepared
        found: dict[str, ClassificationMeasure] = {}
        for (role, name), loader in loaders.items():
            key, data, head = f"{role}/{name}", loader.dataset, shared
            assert isinstance(data, ClassificationSet)
            if role == "transfer":
                own = self.transfer[name].templates
                zero_shot_head = partial(self._zero_shot, encoder, data.classnames, own, processes)
                head = zero_shot_head
                if trained is not None:
                    head = partial(_of_other_classes, trained, data.classnames, zero_shot_head)
            found[key] = ClassificationMeasure(
                encoder,
                head,
                loader,
                data.candidates,
                name=key,
                zero_shot=zero_shot,
                calibrates=role == "id_val",
            )
        return found

    def about(self) -> dict[str, Any]:
        """Return class names and templates."""
        return {"classnames": list(self.classnames), "templates": list(self.templates)}


def _of_other_classes(trained: Head, classnames: Sequence[str], zero_shot: Callable[[], LinearHead]) -> Head:
    return trained.for_classes(classnames, zero_shot()).prepared()
