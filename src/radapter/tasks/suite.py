"""The protocol of a task's suite, its data sets and what the task makes of them, and helpers that suites share."""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, Self, TypeVar, final

from torch import Tensor

from radapter.data import ImageSet, Memory, TrainLoader
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


class TestedSet(Protocol):
    """A validation or test set of N images."""

    @property
    def keys(self) -> Tensor:
        """(N,), int64, content hashes of the images."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images and their labels, captions or masks."""

    def __len__(self) -> int:
        """N."""

    def where(self, index: int) -> str:
        """The name of an image in messages."""


class EvaluationBatches(Protocol):
    """A tested set in batches, as its `Measure` reads them. `EvalLoader` is one."""

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
"""Roles of all sets but the training set."""


class Suite(Protocol):
    """Training, validation and test sets of one task.

    task: its name in the list of tasks. train: None if the suite is only evaluated. id_val: selects alpha; None if
    nothing is selected. id_test, ood: test sets by name, in distribution and shifted; ood may be empty.
    """

    @property
    def task(self) -> str:
        """The task's name."""

    @property
    def train(self) -> KnownSet | None:
        """The training set."""

    @property
    def id_val(self) -> TestedSet | None:
        """The validation set."""

    @property
    def id_test(self) -> Mapping[str, Any]:
        """Test sets in distribution."""

    @property
    def ood(self) -> Mapping[str, Any]:
        """Shifted test sets."""

    def sets(self, *roles: str) -> Mapping[tuple[str, str], Any]:
        """Return (role, name) -> the set, for these of `ROLES`."""

    def sealed(self) -> Self:
        """Return the suite without readable test sets; training, search and selection receive it."""

    def head(self, encoder: DualEncoder, processes: Processes = ALONE) -> LinearHead:
        """Return the zero-shot head that methods with a head start from; of no classes if the task has none."""

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
        """Return one of the `sets` in batches."""

    def measures(
        self,
        classifier: Classifier,
        loaders: Mapping[tuple[str, str], Any],
        zero_shot: MutableMapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> Mapping[str, Measure]:
        """Return "role/name" -> how the set is measured; `zero_shot` keeps zero-shot predictions by set.

        The `processes` share the encoding of texts, as the loaders share the images.
        """

    def about(self) -> dict[str, Any]:
        """Return facts that a finished run keeps, as JSON."""


def sets_of_roles(
    roles: Sequence[str], *, id_val: Data | None, id_test: Mapping[str, Data], ood: Mapping[str, Data]
) -> dict[tuple[str, str], Data]:
    """Return (role, name) -> the sets of these roles; sets of other roles, which may be sealed, are not read."""
    found: dict[tuple[str, str], Data] = {}
    if "id_val" in roles and id_val is not None:
        found["id_val", "id_val"] = id_val
    if "id" in roles:
        found |= {("id", name): data for name, data in id_test.items()}
    if "ood" in roles:
        found |= {("ood", name): data for name, data in ood.items()}
    return found


def no_head(encoder: DualEncoder) -> LinearHead:
    """Return a head of no classes, for tasks that train none."""
    return LinearHead(next(encoder.parameters()).new_zeros(0, encoder.embed_dim))


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
        batch_size=recipe.batch_size if sampler is None else None,
        memory=memory,
        sampler=sampler,
        processes=processes,
        **_loading(encoder, recipe, flip=flip, seed=seed),
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
        batch_size=recipe.batch_size,
        per_image=per_image,
        rank=processes.rank,
        world_size=processes.size,
        together=processes.together,
        **_loading(encoder, recipe, flip=flip, seed=seed),
    )


def _loading(encoder: DualEncoder, recipe: Recipe, *, flip: bool, seed: int) -> dict[str, Any]:
    return {
        "image_size": encoder.image_size,
        "seed": seed,
        "crop_scale": recipe.crop_scale,
        "flip": flip if recipe.flip is None else recipe.flip,
        "max_bad": recipe.max_bad,
        "workers": recipe.workers,
    }


def eval_loaders(
    suite: Suite, preprocess: Callable[..., Tensor], *, roles: tuple[str, ...], **loading: Any
) -> Mapping[tuple[str, str], EvaluationBatches]:
    """Return loaders of the sets with these roles; `loading` are the keyword arguments of `Suite.loader`."""
    return {key: suite.loader(data, preprocess, **loading) for key, data in suite.sets(*roles).items()}


@final
class Sealed(Mapping[str, Any]):
    """Test sets that must not be read yet: every access raises LeakError."""

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
