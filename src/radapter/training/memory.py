"""Memory of one training step beyond the weights, which limits the batch that fits a machine.

activations that autograd keeps for the backward pass + a gradient and AdamW's two moments for what is trained
"""

from collections.abc import Callable
from dataclasses import fields, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from radapter.methods import Learner
from radapter.training.captions import TrainingData

_PER_TRAINED_NUMBER = 3  # gradient, first and second moment


def step_bytes(module: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes of one step, counted and not measured, so that they are the same on every machine.

    `loss` computes the loss of a batch with `module` and is called once. Parameters are not counted; each trained
    one has a gradient and two moments. A storage that several saved tensors share counts once.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        # Detached: an operation that saves its own output would otherwise refer to itself and never be freed.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss()
    activations = sum(kept.values())
    del value
    trained = (parameter for parameter in module.parameters() if parameter.requires_grad)
    return activations + _PER_TRAINED_NUMBER * sum(p.numel() * p.element_size() for p in trained)


def first_loss(
    learner: Learner, data: TrainingData, accelerator: Accelerator, *, chunk_size: int | None = None
) -> Callable[[], Tensor]:
    """The loss of the first batch, or of its first chunk, as a function without arguments; it trains nothing.

    With several processes, each takes its own share as the batch.
    """
    batch = replace(next(iter(data.loader.epoch(0))), sizes=None)
    columns = {column.name: getattr(batch, column.name) for column in fields(batch)}
    chunk = {name: rows[:chunk_size] for name, rows in columns.items() if rows is not None}
    pairs, _ = data.pairs(replace(batch, **chunk), epoch=0, device=accelerator.device)

    def loss() -> Tensor:
        with accelerator.autocast():
            found: Tensor = learner(pairs)
        return found

    return loss
