"""Time and memory of open-vocabulary segmentation with full-size models, stage by stage.

    python benchmarks/segmentation/run.py [--classes 150] [--threads 1] [--to benchmarks/segmentation]

CLIP ViT-B/16 of open_clip and Mask2Former (Swin-S) of transformers, both with random weights: names and masks mean
nothing, time and memory are those of trained ones. The pictures are scenes of the drawn world side by side. Each
case is a fresh process on the CPU. Seconds are the processor's, per image, so that a busy machine disturbs them less
than the clock's; memory is the peak above what stood there once the models were loaded.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import radapter
from radapter import world
from radapter.segmentation import (
    FelzenszwalbProposer,
    RegionClassifier,
    TransformersProposer,
    combine,
    label_map,
)
from radapter.segmentation.crops import pixels_of
from radapter.storage import write_json, write_text

SIZES = ((240, 180), (640, 480))
PROPOSERS = ("felzenszwalb", "mask2former")
STAGES = ("proposals", "crops", "CLIP", "combine")
# proposer, width, height, images at once
CASES = [(name, *size, 1) for name in PROPOSERS for size in SIZES] + [("felzenszwalb", 240, 180, 4)]


def sample_image(width: int, height: int, seed: int) -> Image.Image:
    """Scenes side by side, four rows of them."""
    side = height // 4
    scenes, _ = world.draw(world.sample(seed, torch.arange(4 * (-(-width // side)))))
    canvas = Image.new("RGB", (width, height))
    for number, pixels in enumerate(scenes):
        scene = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((side, side))
        canvas.paste(scene, (number // 4 * side, number % 4 * side))
    return canvas


def proposer_of(name: str) -> Callable[[Image.Image], Any]:
    if name == "felzenszwalb":
        return FelzenszwalbProposer()
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessorPil,
    )

    torch.manual_seed(0)
    model = Mask2FormerForUniversalSegmentation(Mask2FormerConfig()).eval()
    return TransformersProposer(model, Mask2FormerImageProcessorPil())


def measure(name: str, width: int, height: int, images: int, classes: int, threads: int) -> dict[str, Any]:
    """Seconds of each stage per image, regions and peak MiB of one case; call in a fresh process."""
    torch.set_num_threads(threads)
    encoder = radapter.load("open_clip:ViT-B-16")
    classifier = RegionClassifier(
        encoder, [f"class {number}" for number in range(classes)], ["a photo of a {}."]
    )
    proposer = proposer_of(name)
    sample_images = [sample_image(width, height, seed) for seed in range(images)]
    classifier(([pixels_of(sample_images[0])]), [torch.ones(1, height, width)])  # what is made on first use
    seconds = {}
    before = _peak_mib(restart=True)

    def timed(stage: str, compute: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = compute()
        seconds[stage] = (time.process_time() - started) / images
        return result

    with torch.inference_mode():
        proposals = timed("proposals", lambda: [proposer(image) for image in sample_images])
        crops = timed(
            "crops",
            lambda: [
                classifier.crops(pixels_of(image), regions.masks)
                for image, regions in zip(sample_images, proposals, strict=True)
            ],
        )
        scores = timed("CLIP", lambda: classifier.scores(crops))
        labels = timed(
            "combine",
            lambda: [
                label_map(combine(None, found.scores, mode="region", valid=found.valid), regions.masks)
                for found, regions in zip(scores, proposals, strict=True)
            ],
        )
    assert all(found.shape == (height, width) for found in labels)
    return {
        "proposer": name,
        "width": width,
        "height": height,
        "images": images,
        "regions": sum(len(regions) for regions in proposals) / images,
        "valid": sum(int(found.valid.sum()) for found in scores) / images,
        "seconds": seconds,
        "peak_mib": _peak_mib() - before,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(*CASES[options.one], options.classes, options.threads)))
        return
    rows = []
    for number in range(len(CASES)):
        command = [sys.executable, __file__, "--one", str(number), "--classes", str(options.classes)]
        command += ["--threads", str(options.threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], file=sys.stderr)
    text = _table(rows, options.classes, options.threads)
    print(text)
    write_text(options.to / "results.md", text + "\n")
    write_json(
        options.to / "results.json", {"classes": options.classes, "threads": options.threads, "rows": rows}
    )


def _table(rows: list[dict[str, Any]], classes: int, threads: int) -> str:
    stages = " | ".join(f"{stage}, s" for stage in STAGES)
    lines = [
        f"CLIP ViT-B/16 (open_clip) and Mask2Former (Swin-S, transformers), random weights, {classes} classes,",
        f"float32, cpu, threads: {threads}. Seconds of the processor per image; the machine was shared.",
        "",
        f"| proposer | image | at once | regions | with a pixel | {stages} | all, s | peak, MiB |",
        "|---|---|---:|---:|---:|" + "---:|" * (len(STAGES) + 2),
    ]
    for row in rows:
        cells = (
            row["proposer"],
            f"{row['width']} x {row['height']}",
            str(row["images"]),
            f"{row['regions']:.0f}",
            f"{row['valid']:.0f}",
            *(f"{row['seconds'][stage]:.2f}" for stage in STAGES),
            f"{sum(row['seconds'].values()):.2f}",
            f"{row['peak_mib']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _peak_mib(*, restart: bool = False) -> float:
    """The largest resident memory so far (Linux); with `restart`, that of now, from which the next is counted."""
    if restart:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
