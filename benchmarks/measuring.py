"""Peak memory, counted in a fresh process: what the benchmarks of memory share."""

import os
import subprocess
import sys
from pathlib import Path

import torch

CPU = torch.device("cpu")


def in_fresh_process(script: str, *arguments: object) -> str:
    """What a script prints, run in a process of its own.

    Args:
        script: its file.
        arguments: its command line.
    """
    command = [sys.executable, script, *map(str, arguments)]
    # The C library then gives every large buffer back when it is freed: the peak counts what is held.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def peak_bytes(device: torch.device = CPU, *, restart: bool = False) -> int:
    """The largest memory so far: of the GPU's allocator, or resident of the process (Linux).

    Args:
        device: whose memory is counted.
        restart: whether to start anew: gives the memory held now, from which the next peak is counted.
    """
    if device.type == "cuda":
        if restart:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if restart:
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to what is resident now
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM in /proc/self/status: memory is counted on Linux alone.")
