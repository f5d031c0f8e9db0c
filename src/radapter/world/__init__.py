"""The procedural image-text world: labelled, captioned, masked scenes, a task with shifts, and a tiny CLIP.

Reading order: `radapter.hashing` (randomness), `shapes` (the objects), `scenes` (their placement), `drawing`
(pixels), `phrases` and `tokens` (words), `task` (the fine-tuning task). `TINY` is the folder of the shipped encoder,
a transformers CLIPModel of 1.3 M parameters, made by `benchmarks/world/pretrain.py`.
"""

from pathlib import Path

from radapter.world.drawing import class_masks, draw, normalised
from radapter.world.phrases import CLEAN, FULL, WEB, captions
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS, STYLES, Scenes, sample
from radapter.world.task import CORRELATED, CORRELATION, KEPT, KEPT_TEMPLATES, OOD, SPLITS, WorldSplit, split

TINY = Path(__file__).parent / "tiny"

__all__ = [
    "CLASSES", "CLEAN", "COLOURS", "CORRELATED", "CORRELATION", "FULL", "KEPT", "KEPT_TEMPLATES", "OOD", "PATTERNS",
    "SPLITS", "STYLES", "TINY", "WEB", "Scenes", "WorldSplit", "captions", "class_masks", "draw", "normalised",
    "sample", "split",
]  # fmt: skip
