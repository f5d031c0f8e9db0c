"""Memory of one training step beyond the weights, which limits the batch that fits a machine.

activations that autograd keeps for the backward pass + a gradient and AdamW's two moments for what is trained
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

_PER_TRAINED_NUMBER = 3  # gradient, first and second moment


def step_bytes(module: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes of one step, counted and not measured, so that they are the same on every machine.

    Args:
        module: Its parameters are not counted; each trained one has a gradient and two moments.
        loss: Computes the loss of a batch with `module`; called once, without a backward pass.

    Returns:
        Bytes; a storage that several saved tensors share counts once.
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
