"""Names of tensors as wrappers save them: every name starts with the wrapper's own."""

import itertools
from collections.abc import Collection, Mapping

from torch import Tensor

PREFIXES = ("module.", "_orig_mod.", "model.", "clip.")
"""Of distributed wrappers, torch.compile, and programs that keep the model as a part of theirs."""


def without_prefixes(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Strips those of `PREFIXES` that all names start with, one after the other.

    Args:
        weights: a state dict.
        names: the model's own names. Where one of them is among the weights, nothing is stripped.
    """
    found = dict(weights)
    while found and found.keys().isdisjoint(names):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in found)), None)
        if prefix is None:
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def prefix_note(names: Collection[str]) -> str:
    """A sentence, with a leading space, that names the start which all names share; empty where they share none."""
    paths = [name.split(".")[:-1] for name in names]
    shared = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    prefix = ".".join(part for part, *_ in shared)
    return f" All its names start with '{prefix}.': save the weights without it." if prefix else ""
