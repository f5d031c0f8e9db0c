"""The data of one experiment: what is trained on, what selects, what is reported."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, final

from radapter.data import ClassificationSet
from radapter.errors import LeakError


@dataclass(frozen=True)
class TransferSet:
    """A test set with classes of its own: novel ones, or another task's.

    Attributes:
        data: its images; its class names are the head's.
        templates: prompts with one "{}" each.
    """

    data: ClassificationSet
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
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

    def sealed(self) -> "Suite":
        """The same suite whose test sets cannot be read: what training, search and selection get."""
        return replace(self, id_test=_Sealed("id_test"), ood=_Sealed("ood"), transfer=_Sealed("transfer"))


@final
class _Sealed(Mapping[str, Any]):
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
