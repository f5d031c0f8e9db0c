"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# One process, two cores, many tiny models: a second thread costs more than it gives.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# The same examples on every run, and no time limit on one: a busy machine would fail it.
settings.register_profile("radapter", deadline=None, derandomize=True)
settings.load_profile("radapter")


def data_root() -> Path:
    """Where real data lies: $RADAPTER_DATA, else ../shared/data beside the repository."""
    return Path(
        os.environ.get("RADAPTER_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    ).resolve()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    root = data_root()
    if not root.is_dir():
        pytest.skip(f"real data absent: {root} (set RADAPTER_DATA)")
    return root
