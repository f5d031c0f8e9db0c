"""The model card of an encoder of the world: how it was made and what it scores, for people and for tests."""

from collections.abc import Mapping
from pathlib import Path

from radapter.storage import write_json, write_text
from radapter.world.task import CORRELATION, DIFFICULTY, OOD


def write_card(folder: Path, *, seed: int, images: int, minutes: float, scores: Mapping[str, float]) -> None:
    """Writes `README.md` and `scores.json` into the encoder's folder.

    Args:
        folder: the encoder's folder.
        seed: of the pre-training.
        images: drawn during pre-training.
        minutes: it took.
        scores: fractions, as from `score.scores`.
    """
    write_json(folder / "scores.json", {"seed": seed, "images": images, "scores": dict(scores)})
    rows = [f"| {name} | {100 * scores[name]:.1f} |" for name in ("id_test", *OOD)]
    card = _CARD.format(
        seed=seed,
        images=f"{images:,}",
        minutes=round(minutes),
        difficulty=DIFFICULTY,
        correlation=CORRELATION,
        rows="\n".join(rows),
        ood=100 * scores["ood_mean"],
        i2t=100 * scores["i2t_r1"],
        t2i=100 * scores["t2i_r1"],
    )
    write_text(folder / "README.md", card)


_CARD = """---
library_name: transformers
license: apache-2.0
pipeline_tag: zero-shot-image-classification
---
# world:tiny

A CLIPModel of 1.3 million parameters (48 x 48 pixels, patch 8, width 128, 4 image and 2 text blocks, half
precision) that knows the drawn world of radapter and nothing else: twenty objects in seven styles, ten colours and
six backgrounds, in about a hundred words. It is for teaching and testing; claims about real images need real images.

## How it was made
`python benchmarks/world/pretrain.py --seed {seed} --out DIR` drew {images} images (seed {seed}) and trained for
{minutes} minutes on one shared CPU core, in four stages: the image tower alone; noisy captions; a longer stage with
less noise and a floor under the logit scale (14 to 50); last, for the text tower and the projections alone, captions
in which the classes of a pair (star and sun, car and boat ...) swap names 42 times in 100. So its features are
better than the names that zero-shot relies on, and fine-tuning finds something to repair in every style. It is not
caption-only: labels and masks of the world helped in the first half (class cross-entropy and mask prediction
through two heads that were thrown away). The products were computed in bfloat16.

## What it scores
Zero-shot top-1 in per cent with radapter's short templates, on the fine-tuning task of `radapter.world.split`
(difficulty {difficulty}: small and turned objects; ID photos have a colour-class correlation of {correlation}):

| set | top-1 |
|---|---|
{rows}
| OOD mean | {ood:.1f} |

Retrieval on 300 held-out scenes with full captions: R@1 {i2t:.1f} image to text, {t2i:.1f} text to image.
"""
