"""The content of a pickle, read from its opcodes without running it.

Source: the opcodes are those of Python's `pickletools`; torch's file formats are in `torch.serialization`.
"""

import pickle
import pickletools
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import torch

_IGNORED = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "PROTO", "FRAME")

Opcode = tuple[str, Any]  # name and argument


def is_pickle(file: Path) -> bool:
    """Whether a file starts with a protocol, or is a whole pickle of protocol 0."""
    with file.open("rb") as stream:
        has_protocol = stream.read(1) == pickle.PROTO
        stream.seek(0)
        return has_protocol or _opcodes_of(stream)[-1:] == [("STOP", None)]


def tensors_of(file: Path, keys: Sequence[str]) -> str:
    """Returns the Python expression that loads the named tensors of a file of `torch.save` or `pickle.dump`.

    The file holds a module, a dict, or a dict with either under one of `keys`; the first key that it has is used.
    """
    opcodes, by_torch = _opcodes(file)
    loaded = (
        f"torch.load({str(file)!r}, map_location='cpu', weights_only=False)"
        if by_torch
        else f"pickle.loads(pathlib.Path({str(file)!r}).read_bytes())"
    )
    if not _starts_dict(opcodes):
        return f"{loaded}.state_dict()"
    values = [value for _, value in opcodes]
    for key in keys:
        if key in values:
            is_dict = _starts_dict(opcodes[values.index(key) + 1 :])
            return f"{loaded}[{key!r}]{'' if is_dict else '.state_dict()'}"
    return f"{{k: v for k, v in {loaded}.items() if isinstance(v, torch.Tensor)}}"


def _starts_dict(opcodes: Sequence[Opcode]) -> bool:
    return (
        opcodes[:1] in ([("EMPTY_DICT", None)], [("GLOBAL", "collections OrderedDict")])
        or opcodes[:2] == [("MARK", None), ("DICT", None)]  # protocol 0
        or [value for _, value in opcodes[:2]] == ["collections", "OrderedDict"]  # protocol 4
    )


def _opcodes(file: Path) -> tuple[list[Opcode], bool]:
    """The opcodes of a file's object, and whether `torch.save` wrote the file."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if Path(name).name == "data.pkl"]
            return (_opcodes_of(archive.open(names[0])) if names else []), True
    with file.open("rb") as stream:
        first = _opcodes_of(stream)
        if not first or first[0][1] != torch.serialization.MAGIC_NUMBER:
            return first, False
        # torch's older format: the magic number, its version, the system, and then the object
        return [_opcodes_of(stream) for _ in range(3)][-1], True


def _opcodes_of(stream: IO[bytes]) -> list[Opcode]:
    found = []
    try:
        for opcode, value, _ in pickletools.genops(stream):
            if opcode.name not in _IGNORED:
                found.append((opcode.name, value))
    except Exception:  # damaged bytes: genops raises whatever its parsing raises
        return found
    return found
