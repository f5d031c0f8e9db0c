"""What a search costs: every feature read exactly, and FAISS's indexes, with what these miss.

    python benchmarks/search/run.py [--rows 10000 100000 1000000] [--others-up-to 100000] [--world 100000]

Drawn features have E = 512 and what makes search by text hard: images and texts share concepts, in clusters and of
falling variance, but each side has a direction of its own, so that texts lie apart from all images. `--world` takes
scenes of the embedded world and their captions, encoded by its tiny CLIP, E = 128; drawing 100,000 takes minutes.

A row gives the seconds to make an index, its size, the seconds to read it from disk (our hash checked), the median
milliseconds of one text's search, and recall@10: the share of the exact ten nearest that is found. Times are the
process's own, so that what else the machine does is not in them; threads add up. `codes` is what `radapter search`
uses: candidates from 4-bit codes, scored exactly. FAISS's graph (HNSW32) and inverted lists (IVF, Flat) are measured
up to `--others-up-to` rows: a graph of a million takes an hour.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import faiss
import torch
from torch import Tensor
from torch.nn.functional import normalize

import radapter
from radapter import world
from radapter.evaluation.cosines import TILE, in_tiles, nearest
from radapter.search import ImageIndex, faiss_index, find
from radapter.search.faiss_codes import read_faiss
from radapter.storage import write_json, write_text

DIM, TEXTS, TOP = 512, 200, 10
Row = dict[str, float | str]
T = TypeVar("T")


def drawn(rows: int) -> tuple[Tensor, Tensor]:
    """Image features (rows, 512) and text features (200, 512)."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.arange(1, DIM + 1) ** -0.5
    own = normalize(torch.randn(2, DIM, generator=generator))
    topics = torch.randn(2000, DIM, generator=generator) * spread

    def side(count: int, direction: Tensor) -> Tensor:
        chosen = topics[torch.randint(len(topics), (count,), generator=generator)]
        noise = torch.randn(2, count, DIM, generator=generator) * spread
        concepts = normalize(chosen + 0.7 * noise[0], dim=-1)
        return normalize(direction + concepts + normalize(noise[1], dim=-1), dim=-1)

    images = torch.cat([side(min(50_000, rows - start), own[0]) for start in range(0, rows, 50_000)])
    return images, side(TEXTS, own[1])


def of_the_world(rows: int) -> tuple[Tensor, Tensor]:
    """Image features (rows, 128) of scenes, and text features (200, 128) of other scenes' captions."""
    encoder = radapter.load("world:tiny")
    parts = []
    with torch.no_grad():
        for seed in range(rows // 1000):
            pixels = (world.split("scenes", seed=seed, size=1000).images.float() / 255 - 0.5) / 0.5
            parts.append(normalize(encoder.encode_image(pixels), dim=-1))
        captions = list(dict.fromkeys(world.split("scenes", seed=rows, size=1000).captions))[:TEXTS]
        return torch.cat(parts), normalize(encoder.encode_text(encoder.tokenize(captions)), dim=-1)


def measured(name: str, images: Tensor, texts: Tensor, *, others: bool) -> Iterator[Row]:
    """A row for each way of searching these features."""
    index = ImageIndex("", tuple(map(str, range(len(images)))), torch.empty(len(images), 2), images)
    exact = nearest(texts, in_tiles(images, TILE), top=TOP)[1]
    about: Row = {"features": name, "rows": len(images)}
    yield about | {
        "index": "exact",
        "milliseconds": _each(lambda text: find(index, text, top=TOP), texts[:10])[0],
        "recall": 1.0,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "index"
        made, build = _timed(lambda: faiss_index(file, index))
        made, read = _timed(lambda: read_faiss(file))
        _, first = _timed(lambda: find(index, texts[:1], top=TOP, faiss=made))  # FAISS lays the codes out
        milliseconds, found = _each(lambda text: find(index, text, top=TOP, faiss=made), texts)
        rows = [[int(hit.path) for hit in hits[0]] for hits in found]
        yield about | {
            "index": "codes",
            "build": build,
            "mib": file.stat().st_size / 2**20,
            "read": read + first,
            "milliseconds": milliseconds,
            "recall": _recall(rows, exact),
        }
        lists = max(16, 1 << (int(len(images) ** 0.5) - 1).bit_length())
        for kind, depth in ((f"IVF{lists},Flat", lists // 8), ("HNSW32", 128)) if others else ():
            yield about | _of_faiss(kind, depth, images, texts, exact, file)


def _of_faiss(kind: str, depth: int, images: Tensor, texts: Tensor, exact: Tensor, file: Path) -> Row:
    """One of FAISS's own indexes, by its factory's name; `depth` is nprobe or efSearch."""
    made = faiss.index_factory(images.shape[1], kind, faiss.METRIC_INNER_PRODUCT)

    def fill() -> None:
        made.train(images[: 64 * 1024].numpy())
        made.add(images.numpy())

    _, build = _timed(fill)
    faiss.write_index(made, str(file))
    made, read = _timed(lambda: faiss.read_index(str(file)))
    if "IVF" in kind:
        made.nprobe = depth
    else:
        made.hnsw.efSearch = depth
    milliseconds, found = _each(lambda text: made.search(text.numpy(), TOP)[1][0].tolist(), texts)
    return {
        "index": f"{kind}, {depth}",
        "build": build,
        "mib": file.stat().st_size / 2**20,
        "read": read,
        "milliseconds": milliseconds,
        "recall": _recall(found, exact),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--others-up-to", type=int, default=100_000)
    parser.add_argument("--world", type=int, default=0, help="scenes to draw, a multiple of 1,000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    rows: list[Row] = []
    cases = [(f"drawn, E = {DIM}", count, drawn) for count in options.rows]
    if options.world:
        cases.append(("world:tiny, E = 128", options.world, of_the_world))
    for name, count, features in cases:
        for row in measured(name, *features(count), others=count <= options.others_up_to):
            rows.append(row)
            print(row, flush=True)
    where = f"one text at a time, float32, cpu, {options.threads} threads, FAISS {faiss.__version__}"
    text = _table(rows, where)
    print(text)
    write_text(options.to / "results.md", text + "\n")
    write_json(options.to / "results.json", {"where": where, "rows": rows})


def _table(rows: list[Row], where: str) -> str:
    lines = [
        f"Search: {where}.",
        "",
        "| features | rows | index | to make, s | MiB | to read, s | a text, ms | recall@10 |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        made = [f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in _MADE]
        lines.append(
            f"| {row['features']} | {row['rows']:,} | {row['index']} | {' | '.join(made)} | "
            f"{row['milliseconds']:.1f} | {row['recall']:.4f} |"
        )
    return "\n".join(lines)


_MADE = (("build", 1), ("mib", 0), ("read", 2))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    done = work()
    return done, time.process_time() - started


def _each(search: Callable[[Tensor], T], texts: Tensor) -> tuple[float, list[T]]:
    """The median milliseconds of a text's search, and what was found."""
    found, seconds = zip(*[_timed(lambda t=text: search(t[None])) for text in texts], strict=True)
    return 1000 * statistics.median(seconds), list(found)


def _recall(found: list[list[int]], exact: Tensor) -> float:
    shares = [
        len(set(rows) & set(right)) / len(right) for rows, right in zip(found, exact.tolist(), strict=True)
    ]
    return statistics.fmean(shares)


if __name__ == "__main__":
    main()
