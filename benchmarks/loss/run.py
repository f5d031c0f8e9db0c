"""What the MPM-NCE costs with its B x B matrix and without: time and extra memory of forward and backward.

    python benchmarks/loss/run.py [--rounds 5] [--threads 1]

E = 512, float32, pairs of one class, smoothing 0.02, gradients of features and logit scale. Each round times dense
and tiled one after the other, in an order that turns with the round; the ratio is taken inside a round and its
median printed, so that a machine whose speed drifts slows both sides of it. Extra memory is counted in a fresh
process for each case: the peak above what stood there once the features were made. One thread is the default,
since on a machine shared with others a second one mostly waits for its core; `--threads 2` takes both.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from radapter import mpm_nce, mpm_nce_tiled
from radapter.storage import write_json, write_text

sys.path.insert(0, str(Path(__file__).parents[1]))
from measuring import in_fresh_process, peak_bytes

LOSSES: dict[str, Callable[..., Tensor]] = {"dense": mpm_nce, "tiled": mpm_nce_tiled}
DIM = 512
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Case:
    """One batch size's features, on which either loss is taken."""

    def __init__(self, batch: int) -> None:
        torch.manual_seed(0)
        self.leaves = [
            F.normalize(torch.randn(batch, DIM, device=DEVICE), dim=-1).requires_grad_() for _ in range(2)
        ]
        self.leaves.append(torch.tensor(100.0, device=DEVICE, requires_grad=True))
        self.targets = torch.arange(batch, device=DEVICE) // 2

    def seconds(self, loss: Callable[..., Tensor]) -> float:
        """Of one forward and backward pass."""
        images, texts, scale = self.leaves
        _wait()
        started = time.perf_counter()
        torch.autograd.grad(loss(images, texts, self.targets, scale, label_smoothing=0.02), self.leaves)
        _wait()
        return time.perf_counter() - started


def timed(batch: int, rounds: int) -> dict[str, float]:
    """Medians of both losses over rounds that hold one pass of each."""
    case = Case(batch)
    times: dict[str, list[float]] = {label: [] for label in LOSSES}
    for turn in range(rounds + 1):
        for label in list(LOSSES)[:: 1 if turn % 2 else -1]:
            seconds = case.seconds(LOSSES[label])
            if turn:  # the first round warms up
                times[label].append(seconds)
    ratios = [tiled / dense for tiled, dense in zip(times["tiled"], times["dense"], strict=True)]
    return {
        "dense_seconds": statistics.median(times["dense"]),
        "tiled_seconds": statistics.median(times["tiled"]),
        "ratio": statistics.median(ratios),
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
    }


def extra_mib(label: str, batch: int) -> tuple[float, float]:
    """Extra memory and seconds of one pass; call in a fresh process."""
    Case(64).seconds(LOSSES[label])  # libraries load here
    case = Case(batch)
    before = peak_bytes(DEVICE, restart=True)
    seconds = case.seconds(LOSSES[label])
    return (peak_bytes(DEVICE) - before) / 2**20, seconds


def extra_mib_elsewhere(label: str, batch: int, threads: int) -> tuple[float, float]:
    """`extra_mib` in a process of its own."""
    printed = in_fresh_process(__file__, "--threads", threads, "--count", label, batch)
    mib, seconds = map(float, printed.split())
    return mib, seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--large", type=int, nargs="*", default=[32768], help="tiled alone, one pass")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--count", nargs=2, metavar=("LOSS", "BATCH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.count:
        print(*extra_mib(options.count[0], int(options.count[1])))
        return
    rows = []
    for batch in options.sizes:
        row = {"batch": batch, **timed(batch, options.rounds)}
        for label in LOSSES:
            row[f"{label}_mib"], _ = extra_mib_elsewhere(label, batch, options.threads)
        rows.append(row)
        print(row, flush=True)
    for batch in options.large:
        mib, seconds = extra_mib_elsewhere("tiled", batch, options.threads)
        rows.append({"batch": batch, "tiled_seconds": seconds, "tiled_mib": mib})
    where = f"E = {DIM}, float32, {DEVICE.type}, {options.threads} threads, median of {options.rounds} rounds"
    text = _table(rows, where)
    print(text)
    write_text(options.to / "results.md", text + "\n")
    write_json(options.to / "results.json", {"where": where, "rows": rows})


def _table(rows: list[dict], where: str) -> str:
    lines = [
        f"MPM-NCE, forward and backward: {where}.",
        "",
        "| B | dense, s | tiled, s | tiled to dense (lowest, highest) | dense, extra MiB | tiled, extra MiB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rows:
        if "dense_seconds" in r:
            spread = f"{r['ratio']:.2f} ({r['lowest_ratio']:.2f}, {r['highest_ratio']:.2f})"
            dense, dense_mib = f"{r['dense_seconds']:.3f}", f"{r['dense_mib']:.0f}"
        else:
            spread = dense = dense_mib = "-"
        lines.append(
            f"| {r['batch']} | {dense} | {r['tiled_seconds']:.3f} | {spread} | {dense_mib} | "
            f"{r['tiled_mib']:.0f} |"
        )
    return "\n".join(lines)


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize(DEVICE)


if __name__ == "__main__":
    main()
