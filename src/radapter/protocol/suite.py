"""The data of one experiment: what is trained on, what selects, what is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from radapter.data import ClassificationSet


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
