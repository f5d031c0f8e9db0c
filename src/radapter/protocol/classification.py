"""Classification: captions are class names in templates, a head classifies, top-1 counts."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, final

from torch import Tensor

from radapter.data import ClassificationSet, EvalLoader, Memory, TrainLoader
from radapter.evaluation import ClassificationMeasure
from radapter.models import DualEncoder
from radapter.protocol.recipe import Recipe
from radapter.protocol.suite import Sealed
from radapter.protocol.trained import Classifier
from radapter.training import ClassCaptions
from radapter.zeroshot import class_embeddings


@final
@dataclass(frozen=True)
class TransferSet:
    """A test set with classes of its own: novel ones, or another task's.

    Attributes:
        data: its images; its class names are the head's.
        templates: prompts with one "{}" each.
    """

    data: ClassificationSet
    templates: tuple[str, ...]


@final
@dataclass(frozen=True)
class ClassificationSuite:
    """Training, validation and test sets with one list of classes, and test sets with others.

    Attributes:
        train: in-distribution images to train on.
        id_val: in-distribution images that select alpha; None where nothing is selected.
        id_test: in-distribution test sets, by name.
        ood: shifted test sets, by name; may be empty.
        classnames: what the labels of every set index, transfer sets aside.
        templates: prompts with one "{}" each.
        transfer: test sets with other classes, by name; a zero-shot head of their own classifies them.
    """

    train: ClassificationSet
    id_val: ClassificationSet | None
    id_test: Mapping[str, ClassificationSet]
    ood: Mapping[str, ClassificationSet]
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    transfer: Mapping[str, TransferSet] = field(default_factory=dict)
    task: ClassVar[Literal["classification"]] = "classification"

    def sets(self, *roles: str) -> dict[tuple[str, str], ClassificationSet]:
        """(role, name) -> the sets of these roles."""
        found: dict[tuple[str, str], ClassificationSet] = {}
        if "id_val" in roles and self.id_val is not None:
            found["id_val", "id_val"] = self.id_val
        if "id" in roles:
            found |= {("id", name): data for name, data in self.id_test.items()}
        if "ood" in roles:
            found |= {("ood", name): data for name, data in self.ood.items()}
        if "transfer" in roles:
            found |= {("transfer", name): other.data for name, other in self.transfer.items()}
        return found

    def sealed(self) -> "ClassificationSuite":
        """The same suite whose test sets cannot be read."""
        return replace(self, id_test=Sealed("id_test"), ood=Sealed("ood"), transfer=Sealed("transfer"))

    def head(self, encoder: DualEncoder) -> Tensor:
        """The zero-shot head, (C, E)."""
        return class_embeddings(encoder, self.classnames, self.templates)

    def training(
        self, encoder: DualEncoder, recipe: Recipe, *, seed: int, memory: Memory | None
    ) -> tuple[TrainLoader, ClassCaptions]:
        """Images, shuffled, and the captions of their classes."""
        loader = TrainLoader(
            self.train,
            encoder.preprocess,
            image_size=encoder.image_size,
            batch_size=recipe.batch_size,
            seed=seed,
            crop_scale=recipe.crop_scale,
            flip=recipe.flip,
            max_bad=recipe.max_bad,
            workers=recipe.workers,
            memory=memory,
        )
        return loader, ClassCaptions(self.classnames, self.templates, encoder.tokenize, seed=seed)

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], EvalLoader],
        zero_shot: MutableMapping[str, Tensor] | None = None,
    ) -> dict[str, ClassificationMeasure]:
        """Sets of the training classes share a head; each transfer set has a zero-shot head of its own."""
        head = partial(classifier.class_head, self.classnames, self.templates)

        def measure(role: str, name: str) -> ClassificationMeasure:
            if role == "transfer":
                other = self.transfer[name]
                own = partial(class_embeddings, classifier.encoder, other.data.classnames, other.templates)
            data = loaders[role, name].dataset
            assert isinstance(data, ClassificationSet)
            return ClassificationMeasure(
                classifier.encoder,
                own if role == "transfer" else head,
                loaders[role, name],
                data.candidates,
                name=f"{role}/{name}",
                zero_shot=zero_shot,
            )

        return {f"{role}/{name}": measure(role, name) for role, name in loaders}

    def about(self) -> dict[str, Any]:
        """Class names and templates."""
        return {"classnames": list(self.classnames), "templates": list(self.templates)}
