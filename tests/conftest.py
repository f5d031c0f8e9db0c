"""What every test may ask for."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# One process, two cores, many tiny models: a second thread costs more than it gives.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RADAPTER_DATA", str(Path(__file__).parents[2] / "shared" / "data"))

# Background and nohup jobs inherit ignored signals. Restore the defaults, because tests send them.
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# The same examples on every run, and no time limit on one: a busy machine would fail it.
settings.register_profile("radapter", deadline=None, derandomize=True)
settings.load_profile("radapter")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    root = Path(os.environ["RADAPTER_DATA"])
    if not root.is_dir():
        pytest.skip(f"real data absent: {root} (set RADAPTER_DATA)")
    return root


@pytest.fixture
def encoder():
    """The synthetic benchmark's tiny CLIP, fresh."""
    import radapter

    return radapter.load("world:tiny")


@pytest.fixture(scope="session")
def suite():
    """A small suite of the synthetic benchmark: 60 training images, 40 of each other set."""
    from radapter.data import open_classification
    from radapter.tasks.classification import ClassificationSuite
    from radapter.zeroshot import templates

    def split(name: str, size: int):
        return open_classification({"world": name, "size": size, "seed": 3})

    train = split("train", 60)
    return ClassificationSuite(
        train=train,
        id_val=split("id_val", 40),
        id_test={"photo": split("id_test", 40)},
        ood={"sketch": split("sketch", 40), "neon": split("neon", 40)},
        classnames=train.classnames,
        templates=templates("short"),
    )


@pytest.fixture(scope="session")
def recipe():
    """Two short epochs of everything."""
    from radapter.tasks.recipe import Recipe

    return Recipe(epochs=2, batch_size=16, learning_rate=3e-3)
