"""Drawn photographs of the synthetic benchmark, as image files."""

from pathlib import Path

from PIL import Image

from radapter.world import split


def drawn(folder: Path, *, name: str = "id_test", size: int, seed: int = 0, by_class: bool = True) -> Path:
    """Image files of a split, in a folder per class unless `by_class` is False."""
    found = split(name, size=size, seed=seed)
    for number, (pixels, label) in enumerate(zip(found.images, found.labels.tolist(), strict=True)):
        file = folder / (found.classnames[label] if by_class else "") / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    return folder
