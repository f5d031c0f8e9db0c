"""The leak guard: no picture that selects or is reported is trained on, and none that is reported selects."""

import torch
from torch import Tensor

from radapter.data import UNREADABLE
from radapter.errors import DataError
from radapter.tasks.suite import ROLES, Suite, TestedSet


def check_disjoint(suite: Suite) -> None:
    """Compares what the pictures hold, not what they are called; a scene of the world is known by its draw.

    Raises:
        DataError: a set shares pictures with the training set, or a test set with ID validation; how many, and the
            first three.
    """
    tested = suite.sets(*ROLES)
    for (_, name), data in tested.items():
        rule = "no image of a validation or test set may be trained on"
        _refuse_shared(rule, name, data, f"'{suite.train.name}'", suite.train.keys)
    for (role, name), data in tested.items():
        if suite.id_val is not None and role != "id_val":
            rule = "no image of a test set may select learning rate, epoch or alpha"
            _refuse_shared(rule, name, data, "data.id_val", suite.id_val.keys)


def _refuse_shared(rule: str, name: str, data: TestedSet, other: str, keys: Tensor) -> None:
    """Raises where images of a tested set are also in another, which has these keys."""
    found = torch.isin(data.keys, keys) & (data.keys != UNREADABLE)
    shared = found.nonzero().flatten().tolist()
    if shared:
        shown = ", ".join(data.where(index) for index in shared[:3]) + (" ..." if len(shared) > 3 else "")
        raise DataError(
            f"{rule}. Of the {len(data)} in '{name}' {len(shared)} are also in {other}: {shown}. Give the "
            "two sets parts that do not meet, such as part: [0.0, 0.8] and part: [0.8, 1.0], or remove the copies."
        )
