"""CPU time of one query by `radapter.search.find`, which reads every feature.

    python benchmarks/search/run.py [--rows 10000 100000 1000000] [--to benchmarks/search]

Features are random and have E = 512. The times are of the process on one thread, so other programs do not change
them much.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch.nn.functional import normalize

from radapter.search import ImageIndex, find
from radapter.storage import write_json

WIDTH, TEXTS, TOP = 512, 10, 10


def milliseconds(rows: int) -> float:
    """The median over texts."""
    generator = torch.Generator().manual_seed(0)
    images = normalize(torch.randn(rows, WIDTH, generator=generator), dim=-1)
    texts = normalize(torch.randn(TEXTS, WIDTH, generator=generator), dim=-1)
    index = ImageIndex("", tuple(map(str, range(rows))), torch.empty(rows, 2), images)
    found = []
    for text in texts:
        started = time.process_time()
        find(index, text[None], top=TOP)
        found.append(1000 * (time.process_time() - started))
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [{"rows": rows, "width": WIDTH, "milliseconds": milliseconds(rows)} for rows in options.rows]
    for row in found:
        print(f"{row['rows']:>10,} images: {row['milliseconds']:.1f} ms per query")
    options.to.mkdir(parents=True, exist_ok=True)
    write_json(options.to / "results.json", {"rows": found})


if __name__ == "__main__":
    main()
