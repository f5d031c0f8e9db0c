"""What each of two processes does with its share of seven images: count it, then sum over all."""

import os
from pathlib import Path

import torch
from torch import distributed as dist

from radapter.evaluation import confusion_matrix

WORLD, CLASSES = 2, 4


def images():
    """Seven predictions and truths of different sizes."""
    generator = torch.Generator().manual_seed(0)
    return [
        tuple(torch.randint(-1, CLASSES, (2 + size, 3), generator=generator) for _ in range(2))
        for size in range(7)
    ]


def run(folder: str) -> None:
    """Process RANK: writes the summed counts to FOLDER/RANK.pt."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=WORLD)
    counts = sum(confusion_matrix(guess, truth, CLASSES) for guess, truth in images()[rank::WORLD])
    dist.all_reduce(counts)
    torch.save(counts, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
