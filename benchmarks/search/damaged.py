"""What FAISS does with index files in which a few bytes were changed: why its own format is not read here.

    python benchmarks/search/damaged.py [--files 6000]

Six types of index of 700 vectors are written, changed in one to four bytes, mostly near the beginning, and read and
searched in a process of their own, which may take 6 GB and 20 seconds. Counted are the processes that ended by a
signal: memory was read or written where it must not be. POSIX alone.
"""

import argparse
import os
import random
import resource
import tempfile
from collections import Counter
from pathlib import Path

import faiss
import numpy as np

KINDS = ("IVF16,Flat", "HNSW8", "PQ8x4fs", "RR,PQ16x4fs", "IVF16,SQ8", "Flat")
DIM = 16


def changed(content: bytes, drawn: random.Random) -> bytes:
    """The content with one to four other bytes, seven of ten among the first 400."""
    found = bytearray(content)
    for _ in range(drawn.choice([1, 1, 2, 4])):
        end = min(len(found), 400) if drawn.random() < 0.7 else len(found)
        found[drawn.randrange(end)] = drawn.choice([0, 255, 127, 128, 1, drawn.randrange(256)])
    return bytes(found)


def ending(file: Path, queries: np.ndarray) -> str:
    """How a process ends that reads and searches a file."""
    child = os.fork()
    if child == 0:
        _read_and_search(file, queries)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return "refused" if os.WEXITSTATUS(status) else "read"


def main() -> None:
    """Counts and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=6000, help="of each type")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)  # threads do not outlive a fork
    vectors = np.random.default_rng(0).normal(size=(700, DIM)).astype("float32")
    faiss.normalize_L2(vectors)
    drawn = random.Random(0)
    print(f"FAISS {faiss.__version__}, {options.files} files of each type")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            index = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
            index.train(vectors)
            index.add(vectors)
            content = faiss.serialize_index(index).tobytes()
            file = Path(folder) / "index"
            endings: Counter[str] = Counter()
            for _ in range(options.files):
                file.write_bytes(changed(content, drawn))
                endings[ending(file, vectors[:3])] += 1
            print(kind, dict(sorted(endings.items())), flush=True)


def _read_and_search(file: Path, queries: np.ndarray) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        index = faiss.read_index(str(file))
        if index.d == DIM:
            index.search(queries, 5)
    except BaseException:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
