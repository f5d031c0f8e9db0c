"""The pre-training images as uint8 arrays, and batches drawn from them.

PACS is split by content: the first 8 bytes of the SHA-256 of an image's file bytes, as a big-endian integer
over 2**64, give a number in [0, 1). Pre-training sees [0, 0.45), chooses on [0.45, 0.5), and never touches
the rest, on which the encoder is fine-tuned and tested (`part: [lo, hi]` in recipes/pacs.yaml).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

PACS_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES = PACS_CLASSES + tuple(name for name in CIFAR_CLASSES if name not in PACS_CLASSES)
DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
TRAIN, VALIDATION, UNSEEN = (0.0, 0.45), (0.45, 0.5), (0.5, 1.0)


@dataclass(frozen=True)
class Images:
    """Square pictures of one size. pixels: (N, S, S, 3) uint8; labels: (N,) int64 into CLASSES, -1 for none."""

    pixels: Tensor
    labels: Tensor
    domains: Tensor
    captions: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def content_fraction(image: bytes) -> float:
    """Where an image falls in [0, 1), by its bytes alone."""
    return int.from_bytes(hashlib.sha256(image).digest()[:8], "big") / 2**64


def read_pacs(root: Path, part: tuple[float, float], size: int) -> Images:
    """All four domains of PACS whose content fraction lies in [part[0], part[1])."""
    pixels, labels, domains = [], [], []
    for domain, name in enumerate(DOMAINS):
        for image, label in _rows(root / "pacs" / f"{name}.parquet", "label"):
            if part[0] <= content_fraction(image) < part[1]:
                pixels.append(_decode(image, size))
                labels.append(label)
                domains.append(domain)
    return Images(torch.from_numpy(np.stack(pixels)), torch.tensor(labels), torch.tensor(domains))


def read_cifar10(root: Path) -> Images:
    """The training set of CIFAR-10, 32 px, labelled in CLASSES."""
    rows = list(_rows(root / "cifar10" / "train.parquet", "label"))
    labels = torch.tensor([CLASSES.index(CIFAR_CLASSES[label]) for _, label in rows])
    pixels = torch.from_numpy(np.stack([_decode(image, 32) for image, _ in rows]))
    return Images(pixels, labels, torch.zeros_like(labels))


def read_flickr8k(root: Path, part: tuple[float, float], size: int) -> Images:
    """The training pictures of Flickr8k whose content fraction lies in [part[0], part[1]), captions, no labels."""
    path = root / "flickr8k" / "train.parquet"
    rows = [row for row in _rows(path, "captions") if part[0] <= content_fraction(row[0]) < part[1]]
    pixels = torch.from_numpy(np.stack([_decode(image, size) for image, _ in rows]))
    none = torch.full((len(rows),), -1)
    return Images(pixels, none, torch.zeros_like(none), tuple(tuple(captions) for _, captions in rows))


def balanced_weights(images: Images) -> Tensor:
    """Sampling weights, (N,): domains equally often, classes within a domain by the root of their number."""
    cell = images.domains * len(CLASSES) + images.labels
    count = torch.bincount(cell, minlength=int(cell.max()) + 1).double()
    weight = count[cell].rsqrt()
    per_domain = torch.zeros(int(images.domains.max()) + 1, dtype=torch.double).index_add(
        0, images.domains, weight
    )
    return weight / per_domain[images.domains]


def _rows(path: Path, column: str):  # type: ignore[no-untyped-def]
    table = pq.read_table(path, columns=["image", column])
    for image, value in zip(table["image"], table[column], strict=True):
        yield image["bytes"].as_py(), value.as_py()


def _decode(image: bytes, size: int) -> np.ndarray:
    decoded = Image.open(io.BytesIO(image)).convert("RGB")
    side = min(decoded.size)
    left, top = (decoded.width - side) // 2, (decoded.height - side) // 2
    decoded = decoded.crop((left, top, left + side, top + side))
    return np.asarray(decoded.resize((size, size), Image.Resampling.BICUBIC))
