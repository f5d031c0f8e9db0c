"""Runs and a merged directory of the synthetic benchmark's tiny CLIP."""

from pathlib import Path

import pytest
from PIL import Image
from runs.running import run as run_method

import radapter
from radapter.runs.alpha_sweep import AlphaRule
from radapter.runs.merging import merge_run
from radapter.world import split


@pytest.fixture(scope="session")
def runs(tmp_path_factory, suite, recipe):
    """Gives a run of a method at alpha 0.6 with the test sets of `suite`; each is made once."""
    made: dict[str, Path] = {}

    def of(method: str = "r-adapter") -> Path:
        if method not in made:
            made[method] = tmp_path_factory.mktemp("runs") / "run"
            rule = AlphaRule(0.6, tested=(0.6,))
            run_method(made[method], suite, recipe, method, rule=rule)
        return made[method]

    return of


@pytest.fixture(scope="session")
def merged(runs, tmp_path_factory):
    """Gives the directory into which a run was merged, at its alpha."""
    made: dict[str, Path] = {}

    def of(method: str = "r-adapter") -> Path:
        if method not in made:
            to = tmp_path_factory.mktemp("merged") / "merged"
            merge_run(runs(method), radapter.load("world:tiny"), to=to, format=None, alpha=None)
            made[method] = to
        return made[method]

    return of


@pytest.fixture(scope="session")
def sketches(tmp_path_factory) -> Path:
    """Twenty-three sketches in class folders."""
    folder = tmp_path_factory.mktemp("sketches")
    world = split("sketch", seed=0, size=23)
    for number, (pixels, label) in enumerate(zip(world.images, world.labels, strict=True)):
        file = folder / world.classnames[label] / f"{number:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file)
    return folder
