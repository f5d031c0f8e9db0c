"""The data of one experiment and what its task makes of them: training batches, evaluation, the figure that counts.

A task is a suite: `ClassificationSuite` and its siblings stand in files of their own.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, Self, TypeVar, final

from torch import Tensor

from radapter.data import ImageSet, Memory, TrainLoader
from radapter.data.loading import BatchSampler, KnownSet, Loader
from radapter.data.pictures.augment import Augmentation
from radapter.data.shards.stream import ShardStream
from radapter.data.shards.stream_loader import StreamLoader
from radapter.errors import LeakError
from radapter.evaluation import Measure, TaskName
from radapter.models import DualEncoder
from radapter.processes import ALONE, Processes
from radapter.tasks.recipe import Recipe
from radapter.training import Captions
from radapter.zeroshot import Classifier, LinearHead


class TestedSet(Protocol):
    """N images that select or are reported; what else is known of them is their task's."""

    @property
    def keys(self) -> Tensor:
        """(N,), int64, content hashes of the images."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of images and what is known of them: equal for equal sets."""

    def __len__(self) -> int:
        """N."""

    def where(self, index: int) -> str:
        """What messages call an image."""


class EvaluationBatches(Protocol):
    """A tested set in batches, once a pass; its `Measure` reads them. `EvalLoader` is one."""

    @property
    def dataset(self) -> TestedSet:
        """The set."""

    def __iter__(self) -> Iterator[Any]:
        """One pass."""


Data = TypeVar("Data", bound=TestedSet)
Role = Literal["id", "ood", "transfer"]
TESTED: tuple[Role, ...] = ("id", "ood", "transfer")
"""Roles of test sets: in distribution, shifted, and with other classes than the training set's."""
ROLES = ("id_val", *TESTED)
"""What a set is for, training aside."""

FLIPPED: Mapping[TaskName, bool] = {"classification": True, "retrieval": False, "segmentation": True}
"""Whether a task mirrors half of its training images by default: captions may tell left from right."""


class Suite(Protocol):
    """Training, validation and test sets of one task.

    task: names its methods (`methods.TABLES`) and its figure (`evaluation.HEADLINES`). train: in-distribution
    samples to train on. id_val: what selects; None where nothing is selected. id_test, ood, transfer: test sets by
    name, in distribution, shifted, and with classes of their own; the last two may be empty.
    """

    @property
    def task(self) -> TaskName:
        """Its name."""

    @property
    def train(self) -> KnownSet:
        """What is trained on."""

    @property
    def id_val(self) -> TestedSet | None:
        """What selects."""

    @property
    def id_test(self) -> Mapping[str, Any]:
        """Test sets in distribution."""

    @property
    def ood(self) -> Mapping[str, Any]:
        """Shifted test sets."""

    def sets(self, *roles: str) -> Mapping[tuple[str, str], Any]:
        """(role, name) -> the sets of these roles, among `ROLES`."""

    def sealed(self) -> Self:
        """The same suite whose test sets cannot be read: what training, search and selection get."""

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """The zero-shot head that methods with a head start from; of no classes where the task has none."""

    def training(
        self,
        encoder: DualEncoder,
        recipe: Recipe,
        *,
        seed: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> tuple[Loader, Captions]:
        """What the loop reads."""

    def loader(
        self,
        data: Any,
        preprocess: Callable[..., Tensor],
        *,
        batch_size: int,
        max_bad: float,
        workers: int,
        memory: Memory | None,
        processes: Processes = ALONE,
    ) -> EvaluationBatches:
        """One of its `sets` in batches."""

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], Any],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> Mapping[str, Measure]:
        """Role/name -> how each of these sets is measured; `zero_shot` keeps what zero-shot predicts.

        The `processes` share the encoding of texts, as the loaders share the images.
        """

    def about(self) -> dict[str, Any]:
        """Facts that a finished run keeps, as JSON."""


def sets_of_roles(
    roles: Sequence[str], *, id_val: Data | None, id_test: Mapping[str, Data], ood: Mapping[str, Data]
) -> dict[tuple[str, str], Data]:
    """(role, name) -> the sets of these roles, among those that every task has; the others are not touched."""
    found: dict[tuple[str, str], Data] = {}
    if "id_val" in roles and id_val is not None:
        found["id_val", "id_val"] = id_val
    if "id" in roles:
        found |= {("id", name): data for name, data in id_test.items()}
    if "ood" in roles:
        found |= {("ood", name): data for name, data in ood.items()}
    return found


def train_loader(
    samples: ImageSet,
    encoder: DualEncoder,
    recipe: Recipe,
    *,
    task: TaskName,
    seed: int,
    memory: Memory | None,
    sampler: BatchSampler | None = None,
    processes: Processes = ALONE,
) -> TrainLoader:
    """Samples loaded as a recipe says, shuffled unless a sampler says what each batch holds."""
    return TrainLoader(
        samples,
        encoder.preprocess,
        _augmentation(encoder, recipe, task),
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
    task: TaskName,
    seed: int,
    per_image: int = 1,
    processes: Processes = ALONE,
) -> StreamLoader:
    """Shards streamed as a recipe says; `per_image` captions of an image in a batch."""
    return StreamLoader(
        stream,
        encoder.towers.preprocess,  # without the weights: it is sent to reader processes
        _augmentation(encoder, recipe, task),
        batch_size=recipe.batch_size,
        seed=seed,
        per_image=per_image,
        max_bad=recipe.max_bad,
        workers=recipe.workers,
        processes=processes,
    )


def _augmentation(encoder: DualEncoder, recipe: Recipe, task: TaskName) -> Augmentation:
    flip = FLIPPED[task] if recipe.flip is None else recipe.flip
    return Augmentation(encoder.image_size, recipe.crop_scale, flip)


def eval_loaders(
    suite: Suite,
    preprocess: Callable[..., Tensor],
    *,
    roles: tuple[str, ...],
    batch_size: int,
    max_bad: float,
    workers: int,
    memory: Memory | None,
    processes: Processes = ALONE,
) -> Mapping[tuple[str, str], EvaluationBatches]:
    """Loaders of the sets with these roles."""
    return {
        key: suite.loader(
            data,
            preprocess,
            batch_size=batch_size,
            max_bad=max_bad,
            workers=workers,
            memory=memory,
            processes=processes,
        )
        for key, data in suite.sets(*roles).items()
    }


@final
class Sealed(Mapping[str, Any]):
    """Test sets that are not to be read; whatever is asked of them raises LeakError."""

    def __init__(self, role: str) -> None:
        self._role = role

    def __getitem__(self, name: str) -> NoReturn:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> NoReturn:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise LeakError(
            f"nothing may be chosen on a test set. data.{self._role} was asked for before the last evaluation. "
            "Choose on data.id_val."
        )
