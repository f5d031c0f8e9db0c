"""The data of one experiment: what is trained on, what selects, what is reported."""

from collections.abc import Mapping
from dataclasses import dataclass

from radapter.data import ClassificationSet


@dataclass(frozen=True)
class Suite:
    """Training, validation and test sets with one list of classes.

    Attributes:
        train: in-distribution images to train on.
        id_val: in-distribution images that select alpha; None where nothing is selected.
        id_test: in-distribution test sets, by name.
        ood: shifted test sets, by name; may be empty.
        classnames: what the labels of every set index.
        templates: prompts with one "{}" each.
    """

    train: ClassificationSet
    id_val: ClassificationSet | None
    id_test: Mapping[str, ClassificationSet]
    ood: Mapping[str, ClassificationSet]
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
