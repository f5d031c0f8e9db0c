"""The moving average written out: m average + (1 - m) trained."""

from torch import Tensor


def averaged(history: list[Tensor], decay: float) -> Tensor:
    """The average after the steps `history`, whose first entry is the start."""
    average = history[0].double()
    for trained in history[1:]:
        average = decay * average + (1 - decay) * trained.double()
    return average
