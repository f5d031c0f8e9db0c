"""A model's identity: one hash over its base weights, whatever adapters are installed."""

from collections.abc import Iterator

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from radapter.errors import ModelError
from radapter.models.encoder import DualEncoder
from radapter.storage import sha256_of_tensors


def fingerprint(encoder: DualEncoder | nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the base parameters, sorted by name: 64 hexadecimal digits.

    It is the same on every device, and with or without adapters, active or not.

    Raises:
        ModelError: An adapter is merged into the weights.
    """
    module = encoder.module if isinstance(encoder, DualEncoder) else encoder
    if isinstance(module, PeftModel):
        module = module.get_base_model()
    return sha256_of_tensors(sorted(base_parameters(module), key=lambda item: item[0]))


def base_parameters(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters from before PEFT, with their names from then.

    PEFT puts a layer of its own in the place of an adapted one and keeps the original inside. PEFT's layers are
    recognised by type.

    Raises:
        ModelError: An adapter is merged into a layer.
    """
    if isinstance(module, BaseTunerLayer):
        if module.merged:
            raise ModelError(
                f"adapters must not be merged here. '{prefix}' is. Call unmerge_adapter() first."
            )
        yield from base_parameters(module.base_layer, prefix)
        return
    if isinstance(module, AuxiliaryTrainingWrapper):
        yield from base_parameters(module.original_module, prefix)
        return
    for name, parameter in module.named_parameters(recurse=False):
        yield prefix + name, parameter
    for name, child in module.named_children():
        yield from base_parameters(child, f"{prefix}{name}.")
