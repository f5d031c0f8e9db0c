"""How long an exact search takes, and whether FAISS's exact search is faster.

    python benchmarks/search/run.py [ROWS]

Prints the seconds in which one text and eight texts find their ten nearest among ROWS features of width 512
(1,000,000 if left out; 2 GB), the best of three. FAISS is timed where faiss-cpu is installed.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import normalize

from radapter.evaluation.cosines import TILE, in_tiles, nearest


def best_of_three(search: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        search()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    generator = torch.Generator().manual_seed(0)
    features = normalize(torch.randn(rows, 512, generator=generator))
    print(f"{rows:,} x 512, {torch.get_num_threads()} threads")
    for texts in (1, 8):
        queries = normalize(torch.randn(texts, 512, generator=generator))
        seconds = best_of_three(lambda q=queries: nearest(q, in_tiles(features, TILE), top=10))
        line = f"{texts} texts: {seconds:.2f} s"
        try:
            import faiss

            args = queries.numpy(), features.numpy(), 10
            faiss_seconds = best_of_three(lambda a=args: faiss.knn(*a, metric=faiss.METRIC_INNER_PRODUCT))
            line += f", FAISS {faiss_seconds:.2f} s"
        except ImportError:
            pass
        print(line)


if __name__ == "__main__":
    main()
