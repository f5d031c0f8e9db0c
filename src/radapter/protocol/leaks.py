"""The leak guard: no picture that selects or is reported may also be trained on."""

import torch

from radapter.data import UNREADABLE
from radapter.errors import DataError
from radapter.protocol.suite import ROLES, Suite


def check_disjoint(suite: Suite) -> None:
    """Compares what the pictures hold, not what they are called; a scene of the world is known by its draw.

    Raises:
        DataError: a set shares pictures with the training set; how many, and the first three.
    """
    trained = suite.train.keys
    for (_, name), data in suite.sets(*ROLES).items():
        found = torch.isin(data.keys, trained) & (data.keys != UNREADABLE)
        leaked = found.nonzero().flatten().tolist()
        if leaked:
            shown = ", ".join(data.where(index) for index in leaked[:3]) + (" ..." if len(leaked) > 3 else "")
            raise DataError(
                f"no image of a validation or test set may be trained on. Of the {len(data)} in '{name}' "
                f"{len(leaked)} are also in '{suite.train.name}': {shown}. Give the two sets parts that do not "
                "meet, such as part: [0.0, 0.8] and part: [0.8, 1.0], or remove the copies."
            )
