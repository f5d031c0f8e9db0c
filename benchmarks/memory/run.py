"""What a batch costs in memory and time: encoded at once, and in chunks by gradient caching.

    python benchmarks/memory/run.py [--batches 256 1024 4096 8192] [--chunk 64] [--at-once-up-to 1024]

One step of R-Adapter on world:tiny, pairs of drawn photos and captions, float32 on a CPU. Each case is a fresh
process; memory is the peak above what stood there once the batch was made, so that the pixels themselves, which
grow with the batch, are not in it.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from peft import get_peft_model

import radapter
from radapter import world
from radapter.adapter import coins, use_coins
from radapter.losses import bound_loss
from radapter.methods import ContrastiveLearner, LabelledPairs
from radapter.storage import write_json, write_text
from radapter.training import make_accelerator
from radapter.training.gradient_cache import backward_of_pairs

sys.path.insert(0, str(Path(__file__).parents[1]))
from measuring import in_fresh_process, peak_bytes

_WARM_UP = 64


def step(batch: int, chunk: int | None) -> dict[str, float]:
    """Peak MiB and seconds of one step; call in a fresh process."""
    if batch > _WARM_UP:  # libraries load here
        step(_WARM_UP, chunk)
    encoder = radapter.load("world:tiny")
    encoder.requires_grad_(False)
    get_peft_model(encoder.module, radapter.RAdapterConfig(init_weights=False))
    learner = ContrastiveLearner(
        encoder, bound_loss("mpm-nce", margin=None, label_smoothing=None, logit_bias=None)
    )
    learner.train()
    drawn = world.split("scenes", size=batch)
    pixels = (drawn.images.float() / 255 - 0.5) / 0.5
    distinct = {text: row for row, text in enumerate(dict.fromkeys(drawn.captions))}
    caption_of_image = torch.tensor([distinct[text] for text in drawn.captions])
    pairs = LabelledPairs(pixels, encoder.tokenize(list(distinct)), caption_of_image, caption_of_image)
    keys = {"image": torch.arange(batch), "text": torch.arange(len(distinct))}
    source = coins.HashCoins(0, 0, keys)
    before, started = peak_bytes(restart=True), time.perf_counter()
    if chunk is None:
        with use_coins(learner, source):
            learner(pairs).backward()
    else:
        backward_of_pairs(learner, pairs, source, keys, make_accelerator("fp32"), chunk_size=chunk)
    return {"mib": (peak_bytes() - before) / 2**20, "seconds": time.perf_counter() - started}


def measured(batch: int, chunk: int | None) -> dict[str, float]:
    """The same, in a process of its own."""
    printed = in_fresh_process(__file__, "--one", batch, chunk or 0)
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096, 8192])
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--at-once-up-to", type=int, default=1024)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        batch, chunk = options.one
        print(json.dumps(step(batch, chunk or None)))
        return
    rows = []
    for batch in options.batches:
        whole = measured(batch, None) if batch <= options.at_once_up_to else None
        rows.append({"batch": batch, "at_once": whole, "in_chunks": measured(batch, options.chunk)})
    text = _table(rows, options.chunk)
    print(text)
    write_text(options.to / "results.md", text + "\n")
    write_json(options.to / "results.json", {"chunk": options.chunk, "rows": rows})


def _table(rows: list[dict], chunk: int) -> str:
    lines = [
        f"One step of R-Adapter on world:tiny, float32, cpu, {torch.get_num_threads()} threads, chunks of {chunk}.",
        "",
        "| batch | at once, MiB | in chunks, MiB | at once, s | in chunks, s |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        whole, chunks = row["at_once"], row["in_chunks"]
        known = ("-", "-") if whole is None else (f"{whole['mib']:.0f}", f"{whole['seconds']:.1f}")
        lines.append(
            f"| {row['batch']} | {known[0]} | {chunks['mib']:.0f} | {known[1]} | {chunks['seconds']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
