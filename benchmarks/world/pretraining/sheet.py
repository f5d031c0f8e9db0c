"""A sheet of the world to look at: one row a style, one column a class.

python benchmarks/world/pretraining/sheet.py docs/world_sheet.png
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from radapter.world.drawing import draw
from radapter.world.scenes import CLASSES, STYLES, sample


def sheet(*, seed: int = 0) -> Tensor:
    """Draws every class in every style.

    Args:
        seed: of the scenes.

    Returns:
        (3, 7 * 48, 20 * 48), uint8.
    """
    count = len(CLASSES)
    rows = []
    for number, style in enumerate(STYLES):
        index = torch.arange(count) + count * number
        scenes = sample(seed, index, styles=[style], classes=torch.arange(count), two_objects=0.0)
        rows.append(torch.cat(list(draw(scenes)[0]), dim=2))
    return torch.cat(rows, dim=1)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    Image.fromarray(sheet(seed=arguments.seed).permute(1, 2, 0).numpy()).save(arguments.path)


if __name__ == "__main__":
    main()
