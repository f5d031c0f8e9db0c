"""Running statistics stay those of the pre-trained model.

BatchNorm in training mode normalises by the batch and updates its running mean and variance, which neither an
adapter nor a file of trained weights holds. The saved model would then differ from the trained one, and alpha 0 from
the base model; a batch in chunks, or over several processes, would also give other statistics than the whole batch.
In evaluation mode none of this happens, and affine weights still get their gradients.
"""

from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

_STATISTICS = ("running_mean", "running_var")


def hold_statistics(module: nn.Module) -> None:
    """Puts every layer with running statistics inside `module` into evaluation mode; other layers keep their mode.

    Modules that PEFT trains and saves whole (`modules_to_save`) are skipped: their statistics are saved with them.
    """
    if isinstance(module, AuxiliaryTrainingWrapper):
        module = module.original_module
    if _has_statistics(module):
        module.training = False
    for child in module.children():
        hold_statistics(child)


def _has_statistics(module: nn.Module) -> bool:
    """BatchNorm and InstanceNorm, and layers of other libraries with buffers of the same names (EvoNorm, ABN)."""
    if isinstance(module, _NormBase):
        return module.track_running_stats
    buffers = dict(module.named_buffers(recurse=False))
    return any(name in buffers for name in _STATISTICS)
