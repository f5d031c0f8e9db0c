"""The suite of a task: its data sets, how they are trained on, and how they are evaluated."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Literal, NoReturn, Protocol, Self, final

from torch import Tensor
from typing_extensions import TypeVar

from radapter.data import EvalLoader, ImageSet, Memory, TrainLoader
from radapter.data.images.augment import Augmentation
from radapter.data.loading import BatchSampler, KnownSet, Loader
from radapter.data.shards.stream import ShardStream
from radapter.data.shards.stream_loader import StreamLoader
from radapter.errors import LeakError
from radapter.evaluation import Measure
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.training import Captions
from radapter.zeroshot import Classifier, LinearHead


class EvaluationBatches(Protocol):
    """A tested set in batches, as its `Measure` reads them. `EvalLoader` is one."""

    @property
    def dataset(self) -> KnownSet:
        """The set."""

    def __iter__(self) -> Iterator[Any]:
        """One pass."""


Train = TypeVar("Train", bound=KnownSet, default=Any)
Tested = TypeVar("Tested", bound=KnownSet, default=Any)
Role = Literal["id", "ood", "transfer"]
TESTED: tuple[Role, ...] = ("id", "ood", "transfer")
"""Roles of test sets: in distribution, shifted, and with other classes than the training set's."""
ROLES = ("id_val", *TESTED)
"""Roles of all sets but the training set."""


@dataclass(frozen=True)
class Suite(ABC, Generic[Train, Tested]):
    """Training, validation and test sets of one task.

    Attributes:
        task: its name in the list of tasks.
        train: None if the suite is only evaluated.
        id_val: selects learning rate, epoch and alpha; None if nothing is selected.
        id_test, ood: test sets by name, in distribution and shifted; `ood` may be empty.
    """

    task: ClassVar[str]
    train: Train | None
    id_val: Tested | None
    id_test: Mapping[str, Tested]
    ood: Mapping[str, Tested]

    def sets(self, *roles: str) -> dict[tuple[str, str], Tested]:
        """Return (role, name) -> the set, for these of `ROLES`; others are not read, as they may be sealed."""
        found: dict[tuple[str, str], Tested] = {}
        if "id_val" in roles and self.id_val is not None:
            found["id_val", "id_val"] = self.id_val
        for role, sets in (("id", self.id_test), ("ood", self.ood)):
            if role in roles:
                found |= {(role, name): data for name, data in sets.items()}
        return found

    def sealed(self) -> Self:
        """Return the suite without readable test sets; training, search and selection receive it."""
        return replace(self, id_test=Sealed("id_test"), ood=Sealed("ood"))

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """Return the zero-shot head that methods with a head start from; here a head of no classes."""
        return LinearHead(next(encoder.parameters()).new_zeros(0, encoder.embed_dim))

    @abstractmethod
    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[Loader, Captions]:
        """Return the training batches and their captions."""

    def loader(self, data: Any, preprocess: Callable[..., Tensor], **loading: Any) -> EvaluationBatches:
        """Return one of the `sets` in batches; `loading` are the keyword arguments of `EvalLoader`."""
        return EvalLoader(data, preprocess, **loading)

    @abstractmethod
    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], Any],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> Mapping[str, Measure]:
        """Return "role/name" -> how the set is measured.

        Args:
            classifier: encoder and trained head.
            loaders: (role, name) -> what `loader` returned.
            zero_shot: keeps zero-shot predictions by set; a task may ignore it.
            processes: share the encoding of texts, as the loaders share the images.
        """

    def about(self) -> dict[str, Any]:
        """Return facts that a finished run keeps, as JSON."""
        return {}


def train_loader(
    samples: ImageSet,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    flip: bool,
    seed: int,
    memory: Memory | None,
    sampler: BatchSampler | None = None,
    processes: Processes = ALONE,
) -> TrainLoader:
    """Return training batches, shuffled or composed by `sampler`; `flip` holds if the recipe does not say."""
    return TrainLoader(
        samples,
        encoder.preprocess,
        _augmentation(encoder, recipe, flip=flip),
        batch_size=recipe.batch_size if sampler is None else None,
        seed=seed,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        memory=memory,
        sampler=sampler,
        processes=processes,
    )


def stream_loader(
    stream: ShardStream,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    flip: bool,
    seed: int,
    per_image: int = 1,
    processes: Processes = ALONE,
) -> StreamLoader:
    """Return training batches of streamed shards, with `per_image` captions of an image in a batch."""
    return StreamLoader(
        stream,
        encoder.towers.preprocess,  # without the weights: it is sent to reader processes
        _augmentation(encoder, recipe, flip=flip),
        batch_size=recipe.batch_size,
        seed=seed,
        per_image=per_image,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        processes=processes,
    )


def _augmentation(encoder: DualEncoder, recipe: Recipe, *, flip: bool) -> Augmentation:
    return Augmentation(encoder.image_size, recipe.crop_scale, flip if recipe.flip is None else recipe.flip)


def eval_loaders(
    suite: Suite, preprocess: Callable[..., Tensor], *, roles: tuple[str, ...], **loading: Any
) -> Mapping[tuple[str, str], EvaluationBatches]:
    """Return loaders of the sets with these roles; `loading` are the keyword arguments of `EvalLoader`."""
    return {key: suite.loader(data, preprocess, **loading) for key, data in suite.sets(*roles).items()}


@final
class Sealed(Mapping[str, Any]):
    """Test sets that must not be read yet: every access raises LeakError."""

    def __init__(self, role: str) -> None:
        self._role = role

    def _refuse(self, *_: object) -> NoReturn:
        raise LeakError(
            f"nothing may be chosen on a test set. data.{self._role} was asked for before the last evaluation. "
            "Choose on data.id_val."
        )

    __getitem__ = __iter__ = __len__ = _refuse
