"""Weights and the module that a configuration describes: names that differ, and sizes that cannot be right."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration

from radapter.errors import ModelError
from radapter.models.folders import reading

PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")
"""Of distributed wrappers, torch.compile, and programs whose model is a part of theirs."""
# A float16 file has half a number for each byte; an encoder that was saved without its decoder is built with it.
_NUMBERS_PER_BYTE, _SPARE_NUMBERS = 4, 10_000_000
_MODULES_PER_TENSOR, _SPARE_MODULES = 20, 10_000


def described(build: Callable[[], nn.Module], config: Path, weights: Mapping[str, Tensor]) -> nn.Module:
    """Builds a module on the meta device, without memory. Raises ModelError if it is too large for these weights."""
    with reading(config), torch.device("meta"), _bounded(weights, config):
        return build()


def without_prefixes(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Strips those of `PREFIXES` that all weights share, unless the model's own `names` are among them."""
    found = dict(weights)
    while found and found.keys().isdisjoint(names):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def prefix_note(names: Collection[str]) -> str:
    """A sentence, with a leading space, about the prefix that all names share; empty if they share none."""
    paths = [name.split(".")[:-1] for name in names]
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    prefix = ".".join(part for part, *_ in shared)
    return f" All its names start with '{prefix}.': save the weights without it." if prefix else ""


@contextmanager
def _bounded(weights: Mapping[str, Tensor], config: Path) -> Iterator[None]:
    stored = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in weights.values()}
    size = sum(storage.nbytes() for storage in stored.values())
    left = {
        "numbers": _SPARE_NUMBERS + _NUMBERS_PER_BYTE * size,
        "modules": _SPARE_MODULES + _MODULES_PER_TENSOR * len(weights),
    }

    def take(kind: str, count: int) -> None:
        left[kind] -= count
        if left[kind] < 0:
            raise ModelError(
                f"the model that '{config}' describes must fit its {len(weights)} tensors of {size:,} bytes, got "
                f"more {kind} than they can hold. Correct the sizes there, or copy the directory again."
            )

    def on_tensor(_: nn.Module, __: str, tensor: Tensor | None) -> None:
        take("numbers", 0 if tensor is None else tensor.numel())

    def on_module(_: nn.Module, __: str, ___: nn.Module | None) -> None:
        take("modules", 1)

    with (
        registration.register_module_parameter_registration_hook(on_tensor),
        registration.register_module_buffer_registration_hook(on_tensor),
        registration.register_module_module_registration_hook(on_module),
    ):  # each hook is removed at the end
        yield
