"""The most memory that a piece of work takes beyond what is there when it begins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # man 5 proc: resets VmHWM to the present resident size


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int | None]]:
    """A block whose peak can be asked for while it runs and afterwards.

    On a GPU it is what tensors took on it, weights included; on Linux the growth of the process's resident memory
    over its size at the start.

    Yields:
        A function that gives bytes, or None where the system does not tell.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: torch.cuda.max_memory_allocated(device)
        return
    try:
        _CLEAR.write_text(_RESET_PEAK)
        start = _resident("VmRSS")
    except (OSError, KeyError):
        yield lambda: None
        return
    yield lambda: max(0, _resident("VmHWM") - start)


def _resident(field: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024
