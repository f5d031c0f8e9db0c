"""The leak guard: no image of a validation or test set is trained on, and no image of a test set selects."""

import torch
from torch import Tensor

from radapter.data import UNREADABLE
from radapter.data.loading import KnownSet
from radapter.errors import DataError, listed
from radapter.tasks.suite import ROLES, Suite


def check_disjoint(suite: Suite) -> None:
    """Compare images by their content hashes; scenes of the world are compared by the numbers they are drawn from.

    Raises:
        DataError: a set shares images with the training set, or a test set with ID validation.
    """
    tested = suite.sets(*ROLES)
    for (_, name), data in tested.items():
        if suite.train is not None:
            rule = "no image of a validation or test set may be trained on"
            _refuse_shared(rule, name, data, f"'{suite.train.name}'", suite.train.keys)
    for (role, name), data in tested.items():
        if suite.id_val is not None and role != "id_val":
            rule = "no image of a test set may select learning rate, epoch or alpha"
            _refuse_shared(rule, name, data, "data.id_val", suite.id_val.keys)


def _refuse_shared(rule: str, name: str, data: KnownSet, other: str, keys: Tensor) -> None:
    found = torch.isin(data.keys, keys) & (data.keys != UNREADABLE)
    shared = found.nonzero().flatten().tolist()
    if shared:
        shown = listed([data.where(index) for index in shared[:4]])
        raise DataError(
            f"{rule}. Of the {len(data)} in '{name}' {len(shared)} are also in {other}: {shown}. Give the "
            "two sets parts that do not meet, such as part: [0.0, 0.8] and part: [0.8, 1.0], or remove the copies."
        )
