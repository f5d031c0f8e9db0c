"""The rows of `make soak`, in a short form."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks" / "soak"))

import rows
import run as soak
import training

pytestmark = pytest.mark.slow

SHORT = {
    rows.memory_of_a_long_run: 200,
    rows.kills_in_training: 3,
    rows.kills_in_saving: 5,
    rows.restarts_by_torchrun: 1,
    rows.corruptions: 40,
}


@pytest.mark.parametrize("row", soak.TRIALS, ids=lambda row: row.__name__)
def test_nothing_is_lost(row, tmp_path):
    try:
        outcome = row(tmp_path, SHORT.get(row, 1))
    except training.NotPossibleError as reason:
        pytest.skip(str(reason))
    assert (outcome.failed, outcome.trials) == (0, SHORT.get(row, 1)), outcome.note
