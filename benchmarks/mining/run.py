"""How often a mined region shows its noun: 2,000 synthetic scenes, with and without floors.

    python benchmarks/mining/run.py [--size 2000] [--seed 1] [--to benchmarks/mining]

The regions are those of `radapter mine '{world: scenes, size: 2000, seed: 1, wording: web}'`: world:tiny looks at
Felzenszwalb regions. It mines once without floors and applies them to what it finds, which gives what mining with
them gives. Captions are clean, or as the web's: other words for things, broader ones, and a tenth that is wrong.

A noun is right where the most frequent class of the region's pixels is one that it names: the class, its synonym or
its broader word. Where the background is the most frequent, it is wrong.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import radapter
from radapter import world
from radapter.data import MinedRegions, open_pairs
from radapter.segmentation import FelzenszwalbProposer
from radapter.segmentation.mining import (
    Floors,
    Match,
    RegionFolder,
    RegionMatcher,
    VocabularyNouns,
    mine_pairs,
    named_nouns,
    vocabulary,
)
from radapter.segmentation.mining.matching import EXPAND, middle_floors
from radapter.segmentation.mining.writing import MEASURED_IMAGES
from radapter.storage import write_json, write_text
from radapter.world.phrases import HYPERNYMS, SYNONYMS

NONE = Floors(-2.0, -2.0)
SHAPES = {
    "tight box, stretched": {"expand": 1.0, "square": False},
    "square": {"expand": 1.0, "square": True},
    f"square x {EXPAND:g}": {},
    "square x 1.5": {"expand": 1.5, "square": True},
}
"""How a region is looked at."""
TRIED = 500  # scenes on which the shapes are compared


class Judged(NamedTuple):
    """A region: its match, the scene, whether the noun is right, whether the scene has such a thing, their IoU."""

    match: Match
    scene: int
    right: bool
    present: bool
    iou: float


def mined(spec: dict[str, object], **shape: object) -> tuple[list[Judged], dict[str, int]]:
    pairs = open_pairs(spec, join=False)
    named = named_nouns(pairs, VocabularyNouns(vocabulary()))
    matcher = RegionMatcher(radapter.load("world:tiny"), FelzenszwalbProposer(), named.nouns, **shape)
    truth = world.split("scenes", seed=spec["seed"], size=spec["size"])
    with tempfile.TemporaryDirectory() as place:
        mine_pairs(pairs, named, matcher, RegionFolder(Path(place) / "mined", {}), floors=NONE)
        regions = MinedRegions(Path(place) / "mined")
        judged = [judge(regions, index, truth) for index in range(len(regions))]
    return judged, {
        "images": len(pairs),
        "without a noun": named.without,
        "nouns named": named.total,
    }


def judge(regions: MinedRegions, index: int, truth: world.WorldSplit) -> Judged:
    record = regions.records[index]
    scene = int(record["image"].split()[-1])
    mask = torch.zeros(truth.masks.shape[1:], dtype=torch.bool)
    left, top, right, bottom = record["box"]
    mask[top:bottom, left:right] = torch.from_numpy(np.asarray(regions.cutout(index))[:, :, 3] > 0)
    objects, classes = truth.masks[scene], truth.scenes.classes[scene].tolist()
    fitting = [
        slot for slot, label in enumerate(classes, start=1) if label >= 0 and names(label, record["noun"])
    ]
    most = int(torch.bincount(objects[mask].long(), minlength=3).argmax())
    margin = 2.0 if record["margin"] is None else record["margin"]
    return Judged(
        Match(0, 0, record["score"], margin),
        scene,
        most in fitting,
        bool(fitting),
        max((overlap(mask, objects == slot) for slot in fitting), default=0.0),
    )


def names(label: int, noun: str) -> bool:
    name = world.CLASSES[label]
    return noun in (name, SYNONYMS[name], HYPERNYMS[name])


def overlap(mask: Tensor, other: Tensor) -> float:
    return float((mask & other).sum() / (mask | other).sum())


def row(what: str, judged: Sequence[Judged], floors: Floors) -> dict[str, object]:
    kept = [each for each in judged if floors.admit(each.match)]

    def share(of: Callable[[Judged], float]) -> float:
        return sum(of(each) for each in kept) / max(len(kept), 1)

    return {
        "floors": what,
        "cosine": floors.score,
        "margin": floors.margin,
        "crops": len(kept),
        "kept": len(kept) / len(judged),
        "right": share(lambda each: each.right),
        "present": share(lambda each: each.present),
        "iou": share(lambda each: each.iou),
    }


def table(rows: Sequence[dict[str, object]]) -> str:
    lines = [
        "| floors | cosine | margin | crops | kept | noun right | noun in the scene | IoU with it |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in rows:
        floors = " | ".join("-" if each[key] == -2 else f"{each[key]:.3f}" for key in ("cosine", "margin"))
        lines.append(
            f"| {each['floors']} | {floors} | {each['crops']:,} | {each['kept']:.0%} | {each['right']:.1%} | "
            f"{each['present']:.1%} | {each['iou']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    pages, results = (
        [f"{arguments.size:,} scenes, seed {arguments.seed}, world:tiny, Felzenszwalb regions."],
        {},
    )
    for wording in ("clean", "web"):
        spec = {"world": "scenes", "seed": arguments.seed, "size": arguments.size, "wording": wording}
        judged, facts = mined(spec)
        first = sorted({each.scene for each in judged})[:MEASURED_IMAGES]
        auto = middle_floors([each.match for each in judged if each.scene <= first[-1]])
        rows = [
            row("none", judged, NONE),
            row("cosine", judged, Floors(auto.score, -2.0)),
            row("margin", judged, Floors(-2.0, auto.margin)),
            row("both (auto)", judged, auto),
            *(row("margin, by hand", judged, Floors(-2.0, margin)) for margin in (0.05, 0.1)),
        ]
        results[wording] = {**facts, "rows": rows}
        pages.append(
            f"Captions {wording}: {facts['nouns named']:,} nouns named, {facts['without a noun']} images without."
            f"\n\n{table(rows)}"
        )
        print(pages[-1], flush=True)
    shapes = []
    for what, shape in SHAPES.items():
        spec = {"world": "scenes", "seed": arguments.seed + 1, "size": TRIED, "wording": "clean"}
        shapes.append(row(what, mined(spec, **shape)[0], NONE))
    results["shapes"] = shapes
    lines = [f"| {each['floors']} | {each['right']:.1%} | {each['iou']:.2f} |" for each in shapes]
    pages.append(
        f"How regions are looked at, {TRIED} other scenes, clean captions, no floors:\n\n"
        "| crop | noun right | IoU with it |\n|---|---:|---:|\n" + "\n".join(lines)
    )
    print(pages[-1])
    write_json(arguments.to / "results.json", results)
    write_text(arguments.to / "results.md", "\n\n".join(pages) + "\n")


if __name__ == "__main__":
    main()
