"""The procedural image-text world: labelled, captioned, masked scenes, a task with shifts, and a tiny CLIP.

Reading order: `radapter.hashing` (randomness), `distances` and `shapes` (the objects), `scenes` (their placement),
`styles` and `drawing` (pixels), `phrases` and `tokens` (words), `corruptions` and `task` (the
fine-tuning task), `clip` (the encoder). `TINY` is the folder of the shipped encoder, made by
`benchmarks/world/pretrain.py`.
"""

from radapter.world.clip import TINY, normalised
from radapter.world.drawing import class_masks, draw
from radapter.world.phrases import CLEAN, FULL, WEB, captions
from radapter.world.scenes import CLASSES, COLOURS, PATTERNS, STYLES, Scenes, sample
from radapter.world.task import CORRELATED, CORRELATION, KEPT, KEPT_TEMPLATES, OOD, SPLITS, WorldSplit, split

__all__ = [
    "CLASSES",
    "CLEAN",
    "COLOURS",
    "CORRELATED",
    "CORRELATION",
    "FULL",
    "KEPT",
    "KEPT_TEMPLATES",
    "OOD",
    "PATTERNS",
    "SPLITS",
    "STYLES",
    "TINY",
    "WEB",
    "Scenes",
    "WorldSplit",
    "captions",
    "class_masks",
    "draw",
    "normalised",
    "sample",
    "split",
]
